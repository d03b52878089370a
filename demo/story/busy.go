package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// crowded is the load, in processes that want a processor for each that there is, from
// which on other work on the machine makes the fleet's tails longer.
const crowded = 1.5

// busy says that the machine has much else to do, "" where it hasn't or that can't be
// told.
func busy() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return overload(string(b), runtime.NumCPU())
}

func overload(loadavg string, processors int) string {
	first, _, _ := strings.Cut(loadavg, " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil || load < crowded*float64(processors) {
		return ""
	}
	return fmt.Sprintf("the machine is busy (a load of %.1f on %d processors): its services were truly slower, whatever the upgrade did; try again on a quieter one", load, processors)
}
