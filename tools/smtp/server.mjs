// A mail server for tests: nodemailer's smtp-server, on the loopback.
//
//   node server.mjs PORT CERT KEY MAILS [OPTION]...
//
// Each mail that it takes becomes a file of the directory MAILS: a line of JSON that
// says who sent it to whom, and how, then the mail. Options: tls (from the start, not
// by STARTTLS), cleartext (no TLS at all), auth=PLAIN,LOGIN,CRAM-MD5 (signing in is
// needed, as ana with the password secret, by these). What a recipient is called
// says what becomes of it: refused@ never takes mail, busy@ refuses each mail's
// first try for now.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { SMTPServer } from 'smtp-server';

const [port, cert, key, mails, ...options] = process.argv.slice(2);
const methods = (options.find((o) => o.startsWith('auth=')) ?? '').slice('auth='.length);
const disabled = [];
if (!methods) disabled.push('AUTH');
if (options.includes('cleartext')) disabled.push('STARTTLS');

const refusal = (code, text) => Object.assign(new Error(text), { responseCode: code });
let tries = 0;
let taken = 0;

const server = new SMTPServer({
  name: 'localhost',
  secure: options.includes('tls'),
  cert: readFileSync(cert),
  key: readFileSync(key),
  size: 1 << 20,
  disabledCommands: disabled,
  authMethods: methods.split(',').filter(Boolean),
  authOptional: !methods,
  allowInsecureAuth: options.includes('cleartext'),
  disableReverseLookup: true,
  onAuth(auth, _session, done) {
    const right = auth.username === 'ana' && (auth.method === 'CRAM-MD5' ? auth.validatePassword('secret') : auth.password === 'secret');
    done(right ? null : refusal(535, 'who are you?'), right ? { user: `${auth.username} by ${auth.method}` } : undefined);
  },
  onRcptTo(to, _session, done) {
    if (to.address.startsWith('refused@')) return done(refusal(550, 'no such mailbox here'));
    if (to.address.startsWith('busy@') && tries++ === 0) return done(refusal(451, 'come back later'));
    return done();
  },
  onData(stream, session, done) {
    const chunks = [];
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('end', () => {
      if (stream.sizeExceeded) return done(refusal(552, 'too large'));
      const how = {
        from: session.envelope.mailFrom.address,
        to: session.envelope.rcptTo.map((to) => to.address),
        secure: Boolean(session.secure),
        user: session.user || '',
      };
      const file = `${mails}/${Date.now()}-${String(taken++).padStart(6, '0')}`;
      writeFileSync(`${file}.part`, Buffer.concat([Buffer.from(`${JSON.stringify(how)}\n`), ...chunks]));
      renameSync(`${file}.part`, `${file}.eml`);
      return done();
    });
  },
});
server.on('error', () => {}); // a client that breaks off is what the tests are about
server.listen(Number(port), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
