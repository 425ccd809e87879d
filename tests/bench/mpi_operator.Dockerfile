# For the peer of a benchmark: the trainer image with an sshd that lets root in by key, as mpi-operator's own base image has it.
ARG BASE_IMAGE
FROM scratch AS hostetc

FROM ${BASE_IMAGE}
USER 0:0
RUN apt-get update -q && \
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends openssh-server openssh-client && \
    rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* && \
    mkdir -p /run/sshd && \
    printf 'StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n' > /etc/ssh/ssh_config && \
    printf '%s\n' 'HostKey /etc/ssh/ssh_host_ed25519_key' 'PermitRootLogin prohibit-password' 'StrictModes no' 'UsePAM no' \
        'SetEnv PATH=/opt/dltrain/bin:/usr/local/bin:/usr/bin:/bin PRTE_PREFIX=/opt/dltrain PMIX_PREFIX=/opt/dltrain LD_LIBRARY_PATH=/opt/dltrain/lib PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1' \
        > /etc/ssh/sshd_config
ENV HOME=/root PRTE_PREFIX=/opt/dltrain PMIX_PREFIX=/opt/dltrain LD_LIBRARY_PATH=/opt/dltrain/lib \
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1
WORKDIR /root
ENTRYPOINT []
