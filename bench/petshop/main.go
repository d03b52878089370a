// Command petshop runs the issues of the PetShop data set, whose causes are
// known, through detector/origin, and prints how often it finds the service that
// each comes from, and how often it is silent where there is none:
//
//	go run ./bench/petshop --format md /path/to/petshop/low_traffic
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
)

func main() {
	format := flag.String("format", "text", "text or md")
	part := flag.String("part", "all", "train, test or all: which issues")
	show := flag.Bool("show", false, "also list what was said of each issue")
	flag.Parse()
	if flag.NArg() != 1 || *format != "text" && *format != "md" || *part != "all" && *part != "train" && *part != "test" {
		fail("petshop [--format text|md] [--part train|test|all] [--show] DIR")
	}
	shop, err := readShop(flag.Arg(0), parts(*part))
	if err != nil {
		fail("%v", err)
	}
	r, err := run(shop)
	if err != nil {
		fail("%v", err)
	}
	out := bufio.NewWriter(os.Stdout)
	report(out, r, *format == "md")
	if *show {
		details(out, r)
	}
	if err := out.Flush(); err != nil {
		fail("%v", err)
	}
}

func fail(format string, args ...any) {
	fmt.Fprintln(os.Stderr, clean(fmt.Sprintf(format, args...)))
	os.Exit(2)
}

// parts are the folders of issues that are asked for.
func parts(asked string) []string {
	if asked == "all" {
		return []string{"train", "test"}
	}
	return []string{asked}
}
