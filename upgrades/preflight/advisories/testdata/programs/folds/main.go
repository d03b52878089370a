// Command folds uses other packages of the module.
package main

import (
	"io"
	"os"

	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

func main() {
	_, _ = io.Copy(os.Stdout, transform.NewReader(os.Stdin, norm.NFC))
}
