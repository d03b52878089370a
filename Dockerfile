# syntax=docker/dockerfile:1
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -buildvcs=false -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/aftershock ./cmd/aftershock \
    && mkdir /out/data

FROM gcr.io/distroless/static:nonroot
COPY --from=build /out/aftershock /usr/local/bin/aftershock
COPY --from=build --chown=nonroot:nonroot /out/data /var/lib/aftershock
USER nonroot:nonroot
EXPOSE 8787
VOLUME /var/lib/aftershock
ENTRYPOINT ["/usr/local/bin/aftershock"]
# The configuration is mounted; its web.listen must be 0.0.0.0:8787 to be
# reached from outside the container.
CMD ["run", "--config", "/etc/aftershock/aftershock.yml", "--data", "/var/lib/aftershock"]
