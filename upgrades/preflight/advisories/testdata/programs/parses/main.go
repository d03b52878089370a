// Command parses parses a language tag and a URL.
package main

import (
	"fmt"
	"net/url"
	"os"

	"golang.org/x/text/language"
)

func main() {
	tag, err := language.Parse(os.Args[1])
	u, _ := url.Parse(os.Args[1])
	fmt.Println(tag, err, u)
}
