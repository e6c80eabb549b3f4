# SPDX-License-Identifier: GPL-2.0
#
# Every entry point; the work is done in scripts/. Variables:
#   KVER=6.12   kernel series        KSRC=   source tree or tarball to use
#   O=DIR       build folder         JOBS=N  parallel jobs
#   T=NAME      one test only (test, test-debug, test-fs, test-clients)
#   LONG=1      larger amounts (test-fs)          DEBUG=1  KASAN and lockdep (test-fs)

KVER ?= 6.12
export KVER KSRC O JOBS T

.PHONY: help demo test test-debug test-fs test-mainline test-clients shell check check-series model bench sizes series apply \
	deb deb-tools test-deb clean
.DEFAULT_GOAL := help

help: ## these lines
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## build, boot, and watch each controller stop something real
	@scripts/demo

test: ## the engine, KUnit on User-Mode Linux, kselftests in QEMU (T=NAME: one)
	@scripts/test

test-debug: ## the kselftests under KASAN, lockdep, kmemleak and the like
	@scripts/test --debug

test-fs: ## kmem on ext4, xfs, btrfs, f2fs, overlayfs, tmpfs, FUSE, 9p (T=NAME: one)
	@scripts/test-fs $(if $(LONG),--long) $(if $(DEBUG),--debug)

test-mainline: ## mainline's kselftests of what is hooked, on the unpatched kernel and on ours
	@scripts/test-mainline

test-clients: ## real clients and servers on Debian 12 and 13 (T=NAME: one)
	@scripts/test-clients

shell: ## an interactive shell in the guest, controllers mounted
	@scripts/kbuild test
	@scripts/boot --share scripts -- sh /share/shell-guest

check: ## static: checkpatch, sparse, W=1, kernel-doc, shellcheck
	@scripts/check

check-series: ## every prefix of the series builds, options on and off (long)
	@scripts/check-series

model: ## the engine's protocol, all interleavings, and broken on purpose (spin)
	@scripts/model

sizes: ## bytes of structures, unpatched and patched
	@scripts/sizes

bench: ## the cost, in time and in instructions, as tables and as plots
	@scripts/bench

series: ## the mail series, in $(O)/series
	@scripts/series

apply: ## put the series on your own tree (KSRC=DIR)
	@scripts/apply

deb: ## kernel packages from your own tree and its .config (KSRC=DIR, CONFIG=FILE)
	@scripts/deb

test-deb: ## installs what deb and deb-tools have built on Debian 12 and 13, and boots it
	@scripts/test-deb 12
	@scripts/test-deb 13

deb-tools: ## a package with bc-set, bcstat, bc-oci-hook, units and man pages
	@scripts/deb-tools

clean: ## remove what was built, keep the kernel source
	@scripts/clean
