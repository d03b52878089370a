package signature

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"path"
	"strings"
)

// Forms of signatures.
const (
	formCMS      = "cms"
	formRaw      = "raw"
	formMinisign = "minisign"
	formPGP      = "pgp"
	formClear    = "clear-signed"
)

// oidSignedData is the object identifier 1.2.840.113549.1.7.2 in DER.
var oidSignedData = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}

// formOf tells a signature's form by its content, "" where it is none that is known. A raw signature
// has no form of its own: it is what a .sig or .sign of a fitting length is.
func formOf(name string, data []byte) string {
	text := bytes.TrimSpace(data)
	switch {
	case bytes.HasPrefix(text, []byte("-----BEGIN PGP SIGNED MESSAGE-----")):
		return formClear
	case bytes.HasPrefix(text, []byte("-----BEGIN PGP SIGNATURE-----")):
		return formPGP
	case bytes.HasPrefix(text, []byte("untrusted comment:")):
		return formMinisign
	case isCMS(data):
		return formCMS
	case isPGP(data):
		return formPGP
	}
	if ext := strings.ToLower(path.Ext(name)); (ext == ".sig" || ext == ".sign") && len(rawOf(data)) > 0 {
		return formRaw
	}
	return ""
}

// isCMS says whether it begins as signed data, in DER, BER or PEM.
func isCMS(data []byte) bool {
	if b, _ := pem.Decode(data); b != nil {
		return b.Type == "PKCS7" || b.Type == "CMS" || b.Type == "PKCS #7 SIGNED DATA"
	}
	return len(data) > 2 && data[0] == 0x30 && bytes.Contains(data[:min(len(data), 24)], oidSignedData)
}

// cmsOf gives the signed data without PEM.
func cmsOf(data []byte) []byte {
	if b, _ := pem.Decode(data); b != nil {
		return b.Bytes
	}
	return data
}

// rawOf gives a raw signature, which may be in base64 or hex; nothing where it can't be one by its length.
func rawOf(data []byte) []byte {
	const least, most = 64, 2048 // of Ed25519, and of RSA with 16384 bits
	if text := strings.Join(strings.Fields(string(data[:min(len(data), 2*most)])), ""); len(data) <= 2*most {
		if b, err := base64.StdEncoding.DecodeString(text); err == nil && len(b) >= least {
			return b
		}
	}
	if len(data) < least || len(data) > most {
		return nil
	}
	return data
}
