/** What the server is told, as text. Whoever reads it says under which name it was given. */

export const DOMAIN_DEFAULT = 'berth';
export const TTL_SECONDS_DEFAULT = 5;
const TTL_SECONDS_MAX = 3600;
/** What comes before it in the longest names that are answered with needs the rest of 253. */
const DOMAIN_LENGTH_MAX = 128;
const DOMAIN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

export const DOMAIN_RULE = `a name such as berth or svc.example.com, of at most ${DOMAIN_LENGTH_MAX} characters`;
export const TTL_RULE = `a whole number of seconds from 0 to ${TTL_SECONDS_MAX}`;

/** In lower case and without a dot at its end; null: it is none. */
export function dnsDomain(text: string): string | null {
  const domain = text.toLowerCase().replace(/\.$/, '');
  return DOMAIN.test(domain) && domain.length <= DOMAIN_LENGTH_MAX ? domain : null;
}

/** Null: it is none. */
export function ttlSeconds(text: string): number | null {
  return /^\d{1,4}$/.test(text) && Number(text) <= TTL_SECONDS_MAX ? Number(text) : null;
}

/** Where a server that listens there is reached; nothing follows from an address that stands for all, or from a name. */
export function ownAddressesOf(host: string): string[] {
  const isAddress = host.includes(':') || /^[\d.]+$/.test(host);
  return isAddress && host !== '::' && host !== '0.0.0.0' ? [host] : [];
}
