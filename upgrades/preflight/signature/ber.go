package signature

import (
	"encoding/binary"
	"errors"
)

// maxDepth is how deep structures may be nested; signed data has some 12 levels.
const maxDepth = 32

var errBER = errors.New("it is no ASN.1 structure, or ends early")

// toDER writes a BER structure with definite lengths, and joins octet strings that come in parts (X.690, 8.1.3.6 and
// 8.7.3), as programs write it that don't know the length beforehand. DER stays as it is.
func toDER(data []byte) ([]byte, error) {
	out, _, err := element(data, maxDepth)
	return out, err
}

// element gives the first element in DER, and what follows it.
func element(in []byte, depth int) (out, rest []byte, err error) {
	if depth == 0 {
		return nil, nil, errors.New("it is nested too deeply")
	}
	if len(in) < 2 || in[0]&0x1f == 0x1f {
		return nil, nil, errBER
	}
	tag, length := in[0], int(in[1])
	in = in[2:]
	if tag&0x20 != 0 && length == 0x80 {
		var body []byte
		for {
			if len(in) >= 2 && in[0] == 0 && in[1] == 0 {
				return wrap(tag, body), in[2:], nil
			}
			var one []byte
			if one, in, err = part(tag, in, depth); err != nil {
				return nil, nil, err
			}
			body = append(body, one...)
		}
	}
	if length >= 0x80 {
		n := length & 0x7f
		if n == 0 || n > 4 || n > len(in) {
			return nil, nil, errBER
		}
		length = int(binary.BigEndian.Uint32(append(make([]byte, 4-n), in[:n]...)))
		in = in[n:]
	}
	if length > len(in) {
		return nil, nil, errBER
	}
	content, rest := in[:length], in[length:]
	if tag&0x20 == 0 {
		return wrap(tag, content), rest, nil
	}
	var body []byte
	for len(content) > 0 {
		var one []byte
		if one, content, err = part(tag, content, depth); err != nil {
			return nil, nil, err
		}
		body = append(body, one...)
	}
	return wrap(tag, body), rest, nil
}

// octets is the tag of an octet string in parts.
const octets = 0x24

// part gives the next element within one with a tag; of an octet string its content alone.
func part(tag byte, in []byte, depth int) (out, rest []byte, err error) {
	out, rest, err = element(in, depth-1)
	if err != nil || tag != octets {
		return out, rest, err
	}
	if out[0] != octets&^0x20 {
		return nil, nil, errBER
	}
	head := 2
	if out[1] > 0x80 {
		head += int(out[1] & 0x7f)
	}
	return out[head:], rest, nil
}

// wrap writes an element.
func wrap(tag byte, body []byte) []byte {
	if tag == octets {
		tag &^= 0x20
	}
	out := []byte{tag}
	if n := len(body); n < 0x80 {
		out = append(out, byte(n))
	} else {
		size := binary.BigEndian.AppendUint32(nil, uint32(n)) // of at most maxSignature
		for size[0] == 0 {
			size = size[1:]
		}
		out = append(append(out, 0x80|byte(len(size))), size...)
	}
	return append(out, body...)
}
