# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# A hostile NVMe/RDMA host: every rule that it breaks costs it a command or its connection, and after
# each the target serves others as before. rdma-hostile says what it tries, and what has to come of it.
#
# transports: rdma
# timeout_s: 900
# boot: own

target_start_default
except=()

# What the kernel's target does otherwise: it looks at few fields of private data; takes bytes that were
# not sent for data; fetches data before it looks at its length; and has no end for a connection whose
# queue pair has failed, whose peer is gone, whose Connect was refused, or on which nothing comes.
# A Connect with its data in the capsule (sgl-offset-connect) brings the kernel down.
if [ "$TARGET" = nvmet ]; then
	for test in cm-length-0 cm-hsqsize cm-hrqsize cm-qid cm-qid-mismatch cm-cntlid cm-sqsize-mismatch \
		rdma-unsolicited-{read,write,atomic} sgl-keyed-length-huge \
		sgl-offset-{unsent,within,admin,connect} \
		key-{unknown,stale,local,weak,outside}-read key-other-host key-revoked-{write,read} \
		flood-no-receives flood-idle order-connect-twice-refused order-other-{ctrl,hostid} \
		leave-admin \
		vanish-{writes,reads,responses} odd-larger-than-mdts depth-0; do
		except+=(--except "$test")
	done
fi

rdma-hostile --slowness "$SLOWNESS" --host-traddr "$rdma_host_address" "${except[@]}" \
	"$address" "$port" "$nqn" "$host_nqn" | tee "$run/hostile.out"
assert_match "hosts on a device of their own" "^-- the hosts' device is ${rdma_devices[1]}$" \
	"$(<"$run/hostile.out")"
