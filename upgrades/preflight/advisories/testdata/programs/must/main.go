// Command must parses a language tag, or panics.
package main

import (
	"fmt"
	"os"

	"golang.org/x/text/language"
)

func main() {
	fmt.Println(language.MustParse(os.Args[1]))
}
