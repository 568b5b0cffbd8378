# The commands of this repository. `make` alone lists them.
#
# KUBECONFIG, if set, names the cluster to use; otherwise a local one is brought up (docs/local-cluster.md).

.DEFAULT_GOAL := help
.PHONY: help demo test soak check fleet down images install crds sbom fmt

help: ## what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

demo: ## from nothing to a PostgreSQL cluster that is updated under load, to watch
	@tests/demo/demo.sh

test: ## everything: lints, tests without a cluster, stories on a cluster, the local cluster itself
	@tests/run

soak: ## what takes too long for `make test`: 20 rotations of certificates under load, 500 users, rest, 20 installations (docs/soak.md)
	@tests/soak/run

check: ## what needs no cluster: format, lints, tests, licences
	@tests/run lint units

fleet: ## figures of N clusters on a control plane of their own, on loopback (N=200, ARGS for more; docs/fleet.md)
	@cargo build --locked --release --package operator --bin operator --package webhook --bin webhook --package tests --bin fleet
	@release=target/$$(rustc --print host-tuple)/release; $$release/fleet --clusters $(or $(N),200) \
	  --operator $$release/operator --webhook $$release/webhook $(ARGS)

down: ## remove the local cluster, or what demo and install put into the one of KUBECONFIG
	@tests/demo/down.sh

images: ## build the services' images as archives in target/demo/images (PROFILE=release for real use)
	@tests/demo/images.sh

install: images ## install webhook and operator into the cluster
	@tests/demo/install.sh

crds: ## write crds/*.yaml anew from shared::api
	@cargo run --locked --quiet --package crds

sbom: ## write target/sbom/SERVICE.cdx.json: what each service is linked from (CycloneDX)
	@tests/sbom/write

fmt: ## format the code
	@cargo fmt --all
