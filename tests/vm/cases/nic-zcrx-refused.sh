# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# Zero-copy receive is refused without header split, without the right, and on a queue that has an
# owner already; header split stays on while it is in use.

# shellcheck source=tests/vm/lib/nic.sh
source /h/lib/nic.sh

refused() {
	local errno=$1
	shift
	note "$errno: $*"
	selftest_run zcrx refused interface="$nic" queues=3 errno="$errno" "$@"
}

nic_up 4

refused EINVAL
nic_split off
refused EINVAL
nic_split on
refused EINVAL buffer=3000
refused EPERM unprivileged=1
selftest_run zcrx busy interface="$nic" queues=3
selftest_run zcrx busy interface="$nic" queues=3 area=udmabuf buffer=65536

note "what may not change while a queue is in use"
nic_rule_add flow-type tcp4 dst-port 5300 action 3
nic_rss 3
selftest_run zcrx stream interface="$nic" queues=3 address="$nic_address" \
	middle="! ethtool -G $nic tcp-data-split off && ! ethtool -L $nic combined 3"
# the kernel ends the use of a queue in the background
retry 30 nic_split off
refused EINVAL
