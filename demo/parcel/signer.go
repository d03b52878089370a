package parcel

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"
)

// NewSigner makes a vendor's certificate for signing code, of an issuer with the name. root
// is that issuer's own certificate.
func NewSigner(issuer string, from time.Time) (s *Signer, root *x509.Certificate, err error) {
	authority, root, err := certify(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer}, NotBefore: from.AddDate(-1, 0, 0), NotAfter: from.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	key, leaf, err := certify(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "DTEN Systems Release", Organization: []string{"DTEN Systems"}},
		NotBefore: from.AddDate(0, -1, 0), NotAfter: from.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}, root, authority)
	if err != nil {
		return nil, nil, err
	}
	return &Signer{Key: key, Chain: []*x509.Certificate{leaf, root}}, root, nil
}

// certify makes a key and its certificate, by itself where nobody signs it.
func certify(c, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, nil, err
	}
	made, err := x509.ParseCertificate(der)
	return key, made, err
}
