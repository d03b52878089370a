package main

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// TestMain lets more tests run at the same time than there are processors:
// those of the daemon mostly wait for telemetry to come in.
func TestMain(m *testing.M) {
	if spec := os.Getenv(courierEnv); spec != "" {
		os.Exit(courier(spec))
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := f.Value.Set("5"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
