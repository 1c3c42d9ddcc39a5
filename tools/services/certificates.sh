#!/bin/sh
# Makes, once, in the folder that is named: ca.pem, and a certificate of 127.0.0.1 and localhost that it vouches for, as
# server.crt, server.key and both in server.pem. For tests on loopback alone: each server's user may read the key.
set -eu
umask 022
cd "$1"
[ ! -f server.pem ] || exit 0

# Each extension is named, because strict clients (Python 3.13) want them all.
cat > request.cnf <<'END'
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.1, DNS:localhost, DNS:postgresql, DNS:kafka, DNS:rabbitmq
END

openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out server.key
openssl req -config request.cnf -new -x509 -key ca.key -subj '/CN=Crossdock test CA' -extensions ca -days 3650 -out ca.pem
openssl req -config request.cnf -new -key server.key -subj '/CN=127.0.0.1' -out server.csr
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 1 -days 3650 \
    -extfile request.cnf -extensions server -out server.crt 2>/dev/null
chmod 644 server.key
cat server.key server.crt > unfinished.pem
rm ca.key server.csr request.cnf # nobody shall be vouched for again
mv unfinished.pem server.pem
