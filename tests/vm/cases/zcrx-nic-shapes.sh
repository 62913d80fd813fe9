# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 300
# Whatever large packets look like, and whatever becomes of them on their way, what was written is
# there: at places that a drive cannot take, several in a buffer, in pieces, lost, late, or not split
# from their headers.

# shellcheck source=tests/vm/lib/shapes.sh
source /h/lib/shapes.sh

nic_up 4
zcrx_config
zcrx_attach
shapes
zcrx_end
