package migrations

import "strings"

// cursor reads a statement's tokens from left to right.
type cursor struct {
	t []token
	i int
}

func (c *cursor) done() bool { return c.i >= len(c.t) }

// peek gives the present word in capitals, or sign; "" for anything else.
func (c *cursor) peek() string {
	if c.done() || c.t[c.i].kind != kindWord && c.t[c.i].kind != kindSign {
		return ""
	}
	return c.t[c.i].text
}

// accept goes on behind the words, if all of them stand here.
func (c *cursor) accept(words ...string) bool {
	if c.i+len(words) > len(c.t) {
		return false
	}
	for j, w := range words {
		if t := c.t[c.i+j]; t.kind != kindWord && t.kind != kindSign || t.text != w {
			return false
		}
	}
	c.i += len(words)
	return true
}

// any goes on behind one of the words.
func (c *cursor) any(words ...string) string {
	for _, w := range words {
		if c.accept(w) {
			return w
		}
	}
	return ""
}

// name reads a name, perhaps with its schema's, as the database compares it.
func (c *cursor) name() string {
	var parts []string
	for !c.done() {
		switch t := c.t[c.i]; t.kind {
		case kindWord:
			parts = append(parts, strings.ToLower(t.text))
		case kindName:
			parts = append(parts, t.text)
		case kindSign: // "$TABLE" of a script
			if t.text != "$" || c.i+1 == len(c.t) || c.t[c.i+1].kind != kindWord {
				return strings.Join(parts, ".")
			}
			c.i++
			parts = append(parts, "$"+c.t[c.i].raw)
		default:
			return strings.Join(parts, ".")
		}
		c.i++
		if !c.accept(".") {
			break
		}
	}
	return strings.TrimPrefix(strings.Join(parts, "."), "public.")
}

// ifs passes over IF [NOT] EXISTS.
func (c *cursor) ifs() {
	if c.accept("IF", "NOT", "EXISTS") || c.accept("IF", "EXISTS") {
		return
	}
}

// part cuts off what stands before the next comma outside parentheses.
func (c *cursor) part() *cursor {
	from, depth := c.i, 0
	for ; !c.done(); c.i++ {
		switch c.peek() {
		case "(":
			depth++
		case ")":
			depth--
		case ",":
			if depth == 0 {
				p := &cursor{t: c.t[from:c.i]}
				c.i++
				return p
			}
		}
	}
	return &cursor{t: c.t[from:]}
}

// has tells whether the words stand one after the other somewhere from here on, at any depth.
func (c *cursor) has(words ...string) bool { return c.find(words...) >= 0 }

func (c *cursor) find(words ...string) int {
	for i := c.i; i+len(words) <= len(c.t); i++ {
		d := cursor{t: c.t, i: i}
		if d.accept(words...) {
			return i
		}
	}
	return -1
}

// outer tells whether a word stands outside parentheses.
func (c *cursor) outer(w string) bool {
	depth := 0
	for i := c.i; i < len(c.t); i++ {
		t := c.t[i]
		if t.kind == kindSign && t.text == "(" {
			depth++
		}
		if t.kind == kindSign && t.text == ")" {
			depth--
		}
		if depth == 0 && t.kind == kindWord && t.text == w {
			return true
		}
	}
	return false
}

// text gives the tokens from here on, joined by blanks where they were apart or need it.
func (c *cursor) text() string {
	var b strings.Builder
	for i := c.i; i < len(c.t); i++ {
		raw := c.t[i].raw
		if b.Len() > 0 && raw != "," && raw != ")" && raw != "." && raw != "(" && !strings.HasSuffix(b.String(), "(") && !strings.HasSuffix(b.String(), ".") {
			b.WriteByte(' ')
		}
		b.WriteString(raw)
	}
	return b.String()
}
