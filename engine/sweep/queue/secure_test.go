package queue

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	a.key = newKey(t)
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, a.key.Public(), a.key)
	must(t, err)
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

// sign returns the files of a certificate for this machine and of its key.
func (a *authority) sign(t *testing.T, name string) (certFile, keyFile string) {
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key.Public(), a.key)
	must(t, err)
	secret, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "EC PRIVATE KEY", secret)
	return certFile, keyFile
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// elsewhere runs a server elsewhere, as far as the queue is concerned.
func elsewhere(t *testing.T, o *server.Options) (address string) {
	o.Host, o.Port, o.NoLog, o.NoSigs, o.JetStream, o.StoreDir = "127.0.0.1", server.RANDOM_PORT, true, true, true, t.TempDir()
	s, err := server.NewServer(o)
	must(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server did not start")
	}
	return s.Addr().String()
}

// carries fails the test unless a run goes through the queue.
func carries(t *testing.T, o Options) {
	t.Helper()
	ctx := context.Background()
	o.Build = build
	q, err := Connect(ctx, o)
	must(t, err)
	defer q.Close()
	must(t, q.Open(ctx, sweepA, time.Minute))
	list := jobs(1)
	must(t, q.Submit(ctx, list))
	task, err := q.Take(ctx, 10*time.Second)
	must(t, err)
	if task == nil || task.Run != list[0].Run {
		t.Fatalf("took %+v, want run %s", task, list[0].Run)
	}
	must(t, task.Done(ctx))
}

// refused fails the test unless the server does not let o in.
func refused(t *testing.T, o Options) {
	t.Helper()
	o.Build = build
	q, err := Connect(context.Background(), o)
	if err == nil {
		q.Close()
	}
	if !errors.Is(err, ErrServer) {
		t.Errorf("error %v, want %v", err, ErrServer)
	}
}

// A server that shows a certificate and asks for one.
func TestQueueOverTLS(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	serverCert, serverKey := a.sign(t, "server")
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	must(t, err)
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	address := "tls://" + elsewhere(t, &server.Options{
		TLS: true, TLSVerify: true,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert},
	})
	cert, key := a.sign(t, "client")
	strange, strangeKey := other.sign(t, "stranger")
	carries(t, Options{URL: address, CA: a.file, Cert: cert, Key: key})
	refused(t, Options{URL: address, Cert: cert, Key: key})                       // nobody known signed the server's
	refused(t, Options{URL: address, CA: other.file, Cert: cert, Key: key})       // another did
	refused(t, Options{URL: address, CA: a.file})                                 // no certificate
	refused(t, Options{URL: address, CA: a.file, Cert: strange, Key: strangeKey}) // signed by another
}

// A server that lets in users whom its operator's account has signed.
func TestQueueWithCredentials(t *testing.T) {
	pair := func(create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		k, err := create()
		must(t, err)
		public, err := k.PublicKey()
		must(t, err)
		return k, public
	}
	operator, operatorID := pair(nkeys.CreateOperator)
	account, accountID := pair(nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(accountID)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	accountToken, err := claims.Encode(operator)
	must(t, err)
	system, systemID := pair(nkeys.CreateAccount)
	systemToken, err := jwt.NewAccountClaims(systemID).Encode(operator)
	must(t, err)
	_ = system
	resolver := &server.MemAccResolver{}
	must(t, resolver.Store(accountID, accountToken))
	must(t, resolver.Store(systemID, systemToken))
	address := "nats://" + elsewhere(t, &server.Options{
		TrustedKeys: []string{operatorID}, AccountResolver: resolver, SystemAccount: systemID,
	})
	credentials := func(signer nkeys.KeyPair) string {
		user, userID := pair(nkeys.CreateUser)
		token, err := jwt.NewUserClaims(userID).Encode(signer)
		must(t, err)
		seed, err := user.Seed()
		must(t, err)
		text, err := jwt.FormatUserConfig(token, seed)
		must(t, err)
		path := filepath.Join(t.TempDir(), "user.creds")
		must(t, os.WriteFile(path, text, 0o600))
		return path
	}
	stranger, _ := pair(nkeys.CreateAccount)
	carries(t, Options{URL: address, Creds: credentials(account)})
	refused(t, Options{URL: address})
	refused(t, Options{URL: address, Creds: credentials(stranger)})
}
