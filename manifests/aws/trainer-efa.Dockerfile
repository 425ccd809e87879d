# The trainer image with what NCCL needs to use EFA: libfabric and AWS's plugin, from AWS's installer.
#   docker build -f manifests/aws/trainer-efa.Dockerfile --build-arg TRAINER_IMAGE=REGISTRY/dltrain/trainer@sha256:... \
#     -t REGISTRY/dltrain/trainer-efa:TAG manifests/aws
ARG TRAINER_IMAGE
FROM ${TRAINER_IMAGE}
USER 0:0
WORKDIR /tmp/efa
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/efa-changelog.html
ARG EFA_VERSION=1.51.0
ARG EFA_KEY=4E9091BCBB97A96B26B15E59A05480B1DD2D3CCC
ARG EFA_URL=https://efa-installer.amazonaws.com
# The node has the kernel's part, the limits and the devices. Open MPI of the installer goes: the image has its own. NCCL looks
# for a plugin by the name libnccl-net.so, and finds it by the loader's cache.
RUN apt-get update -q && apt-get install -qy --no-install-recommends curl gnupg && \
    file=aws-efa-installer-${EFA_VERSION}.tar.gz && \
    curl -fsSL -O "${EFA_URL}/${file}" -O "${EFA_URL}/${file}.sig" -O "${EFA_URL}/aws-efa-installer.key" && \
    export GNUPGHOME=/tmp/efa/keys && mkdir -m 700 keys && gpg --batch --quiet --import aws-efa-installer.key && \
    gpg --batch --status-fd 1 --verify "${file}.sig" "${file}" | grep "^\[GNUPG:\] VALIDSIG .*${EFA_KEY}\$" && \
    tar -xf "${file}" --strip-components 1 && \
    DEBIAN_FRONTEND=noninteractive ./efa_installer.sh -y --skip-kmod --skip-limit-conf --no-verify && \
    apt-get purge -qy --auto-remove curl gnupg && \
    rm -rf /tmp/efa/* /opt/amazon/openmpi* /var/lib/apt/lists/* /var/cache/* /var/log/* && \
    plugin=$(find /opt/amazon/ofi-nccl -name 'libnccl-net*.so' -print -quit) && test -n "$plugin" && \
    ln -s "$plugin" /usr/local/lib/libnccl-net.so && \
    printf '%s\n' /opt/amazon/efa/lib "${plugin%/*}" >/etc/ld.so.conf.d/dltrain-efa.conf && ldconfig
WORKDIR /workspace
USER 1000:1000
