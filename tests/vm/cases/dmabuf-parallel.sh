# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
# targets: sluice
# timeout_s: 400
# Many requests in flight while the registration, the ring or the process goes away.

selftest_run parallel "$drive0"
