#!/usr/bin/env bash
# Builds the images, pushes them to ECR, and prints the values of the chart that pin them by digest.
#   manifests/aws/push-images.sh REGION [TAG] >images.yaml
# With EFA=1 the trainer image gets EFA's software besides (trainer-efa.Dockerfile), and the values name that one.
# BASE_IMAGE names another base than Debian's newest, which is pinned by digest and told.
set -euo pipefail
region=${1:?usage: push-images.sh REGION [TAG]}
root=$(cd "$(dirname "$0")/../.." && pwd)
tag=${2:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml" | head -1)}
account=$(aws sts get-caller-identity --query Account --output text)
registry=$account.dkr.ecr.$region.amazonaws.com
debian=docker.io/library/debian

# push NAME DOCKERFILE CONTEXT BUILD_ARGUMENT: builds and pushes one; its digest is in $digest.
push() {
  local image=$registry/dltrain/$1
  aws ecr describe-repositories --region "$region" --repository-names "dltrain/$1" >/dev/null 2>&1 ||
    aws ecr create-repository --region "$region" --repository-name "dltrain/$1" --image-tag-mutability IMMUTABLE \
      --image-scanning-configuration scanOnPush=true >/dev/null
  docker build --platform linux/amd64 -f "$root/$2" --build-arg "$4" -t "$image:$tag" "$root/$3" >&2
  docker push "$image:$tag" >&2
  digest=$(aws ecr describe-images --region "$region" --repository-name "dltrain/$1" --image-ids "imageTag=$tag" \
    --query 'imageDetails[0].imageDigest' --output text)
}

aws ecr get-login-password --region "$region" | docker login --username AWS --password-stdin "$registry" >&2
if [ -z "${BASE_IMAGE:-}" ]; then
  docker pull --quiet --platform linux/amd64 "$debian:bookworm-slim" >/dev/null
  # One line for each name that it was pulled by, in any order: mirrors may have other digests of the same image.
  digests=$(docker image inspect --format '{{join .RepoDigests "\n"}}' "$debian:bookworm-slim" |
    sed -nE 's%^(docker.io/)?(library/)?debian@%%p')
  : "${digests:?Debian has no digest here: name one in BASE_IMAGE}"
  BASE_IMAGE=$debian@${digests%%$'\n'*}
fi
push operator operator/Dockerfile . "BASE_IMAGE=$BASE_IMAGE"
values="image: {digest: \"$digest\"}"
push trainer trainer_image/Dockerfile . "BASE_IMAGE=$BASE_IMAGE"
repository=dltrain/trainer
if [ -n "${EFA:-}" ]; then
  push trainer-efa manifests/aws/trainer-efa.Dockerfile manifests/aws "TRAINER_IMAGE=$registry/dltrain/trainer@$digest"
  repository=dltrain/trainer-efa
fi
printf '# made of %s\n# helm install ... -f helm/dltrain/values-eks.yaml -f THIS\n' "$BASE_IMAGE"
printf 'global: {imageRegistry: %s}\n%s\ntrainerImage: {repository: %s, digest: "%s"}\n' "$registry" "$values" "$repository" "$digest"
