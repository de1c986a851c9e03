//go:build tools

// Package interop names the stock programs that test/interop/http2 runs, so that go.mod pins them. They build with Debian 12's Go.
package interop

import (
	_ "github.com/summerwind/h2spec/cmd/h2spec"
	_ "google.golang.org/grpc/interop/client"
	_ "google.golang.org/grpc/interop/server"
)
