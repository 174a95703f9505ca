#!/usr/bin/env bash
# Builds the images. Usage: images/build.sh [clustering|airflow]...     (default: clustering)
#
#   VARIANT=gpu       the engine for NVIDIA GPUs (default cpu); tag stage4-clustering:<variant>
#   BASE_IMAGE=...    another base than the Dockerfiles' own, e.g. what .ci/base-image builds
#   REGISTRY=host/    prefix of the tags
#
# Works without BuildKit too (DOCKER_BUILDKIT=0), as Debian's engine needs it.
set -euo pipefail
cd "$(dirname "$0")/.."

variant=${VARIANT:-cpu}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
if ! docker buildx version >/dev/null 2>&1; then
    export DOCKER_BUILDKIT=0
fi

build() { # name, tag, further arguments
    local name=$1 tag=${REGISTRY:-}$2
    shift 2
    docker build -f "images/$name/Dockerfile" -t "$tag" \
        ${BASE_IMAGE:+--build-arg BASE_IMAGE="$BASE_IMAGE"} \
        --build-arg VERSION="$version" --build-arg REVISION="$revision" "$@" .
    docker image inspect --format "$tag: {{.Size}} bytes" "$tag"
}

for image in "${@:-clustering}"; do
    case $image in
        clustering) build clustering "stage4-clustering:$variant" --build-arg VARIANT="$variant" ;;
        airflow) build airflow "stage4-airflow:$version" ;;
        *)
            echo "unknown image $image: clustering or airflow" >&2
            exit 64
            ;;
    esac
done
