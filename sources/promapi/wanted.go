package promapi

import "strings"

func wanted(name string) bool { return strings.HasPrefix(name, "http_") }
