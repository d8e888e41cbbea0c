/** What to do about a connection that TLS has refused, by the code of the error. Null: it is no such error. */
export function tlsAdvice(code: string | null): string | null {
  return code === null ? null : (ADVICE.get(code) ?? null);
}

const UNKNOWN_SIGNER =
  'nobody that is trusted here has signed its certificate; name the authority that has with --ca (or BERTH_CA)';
const OWN_MISSING =
  'it lets in only who shows a certificate that its operator has signed; give one with --client-cert and --client-key';

const ADVICE: ReadonlyMap<string, string> = new Map([
  ['DEPTH_ZERO_SELF_SIGNED_CERT', UNKNOWN_SIGNER],
  ['SELF_SIGNED_CERT_IN_CHAIN', UNKNOWN_SIGNER],
  ['UNABLE_TO_GET_ISSUER_CERT', UNKNOWN_SIGNER],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', UNKNOWN_SIGNER],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', UNKNOWN_SIGNER],
  ['CERT_SIGNATURE_FAILURE', UNKNOWN_SIGNER],
  ['CERT_HAS_EXPIRED', 'its certificate has expired, or the clock of this machine is wrong'],
  ['CERT_NOT_YET_VALID', 'its certificate is not valid yet, or the clock of this machine is wrong'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is for other names than the one in the address'],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', OWN_MISSING],
  ['ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE', OWN_MISSING],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', OWN_MISSING],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'what answers there does not speak TLS; is its address one with http:// ?'],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', 'what answers there does not speak TLS; is its address one with http:// ?'],
]);
