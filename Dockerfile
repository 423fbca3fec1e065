# Both programs in one image: the client starts the service for its trials.
FROM rust:1.95.0-slim-bookworm AS build
# librdkafka is compiled from source with its default configure step, against the system's zlib.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ gcc libc6-dev libssl-dev make pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin bench-server --bin bench-client \
    && install -D -t /out target/release/bench-server target/release/bench-client

FROM debian:bookworm-slim
# curl is for the service's health check.
RUN apt-get update \
    && apt-get install -y --no-install-recommends curl libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/ /usr/local/bin/
CMD ["bench-client", "--help"]
