# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# kernel_args: dma_debug=off
# As bad-disk, with registered buffers that are mapped for each I/O, as on a kernel that has nothing better.

mkdir -p "$run/sluice.conf.d"
printf '[memory]\nprovider = anon\n' >"$run/sluice.conf.d/memory.conf"
bad_rung=fixed
# shellcheck source=tests/vm/cases/bad-disk.sh
source /h/cases/bad-disk.sh
