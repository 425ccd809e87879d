#!/usr/bin/env bash
# Builds both images, pushes them to ECR, and prints the values of the chart that pin them by digest.
#   manifests/aws/push-images.sh REGION [TAG]
set -euo pipefail
region=${1:?usage: push-images.sh REGION [TAG]}
root=$(cd "$(dirname "$0")/../.." && pwd)
tag=${2:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml" | head -1)}
account=$(aws sts get-caller-identity --query Account --output text)
registry=$account.dkr.ecr.$region.amazonaws.com

aws ecr get-login-password --region "$region" | docker login --username AWS --password-stdin "$registry"
declare -A folder=([operator]=operator [trainer]=trainer_image) key=([operator]=image [trainer]=trainerImage)
values="global: {imageRegistry: $registry}"
for name in operator trainer; do
  aws ecr describe-repositories --region "$region" --repository-names "dltrain/$name" >/dev/null 2>&1 ||
    aws ecr create-repository --region "$region" --repository-name "dltrain/$name" --image-tag-mutability IMMUTABLE \
      --image-scanning-configuration scanOnPush=true >/dev/null
  docker build --platform linux/amd64 -f "$root/${folder[$name]}/Dockerfile" -t "$registry/dltrain/$name:$tag" "$root"
  docker push "$registry/dltrain/$name:$tag"
  digest=$(aws ecr describe-images --region "$region" --repository-name "dltrain/$name" --image-ids "imageTag=$tag" \
    --query 'imageDetails[0].imageDigest' --output text)
  values+=$'\n'"${key[$name]}: {digest: \"$digest\"}"
done
printf '\n# helm install ... -f helm/dltrain/values-eks.yaml -f THIS\n%s\n' "$values"
