/**
 * Texts with names in the place of what differs from run to run: `<framework>`, `<offer>`, `<offer2>` … A name stands for the text that
 * it first stood for, but for `<time>`, which is another one each time.
 */
const KINDS: Readonly<Record<string, string>> = {
  framework: 'f[a-z0-9]{12,32}',
  offer: '[0-9]+-[0-9]+-[0-9]+',
  notice: '[a-z0-9-]+',
  uuid: '[A-Za-z0-9+/]{22}==',
  time: '[0-9]{10}(?:\\.[0-9]{1,3})?',
  nanoseconds: '[0-9]{19}',
};

const PLACEHOLDER = /<([a-z]+)([0-9]?)>/g;

export type Bindings = Map<string, string>;

/** The text with what its names stand for by now; those that stand for nothing yet stay. */
export function filledIn(template: string, bindings: Bindings): string {
  return template.replaceAll(PLACEHOLDER, (name) => bindings.get(name) ?? name);
}

/** The text with names put in the place of what they stand for, as far as it matches; binds those that are new. */
export function asTemplate(text: string, template: string, bindings: Bindings): string {
  const names: string[] = [];
  const pattern = filledIn(template, bindings)
    .split(PLACEHOLDER)
    .map((part, index, parts) => {
      if (index % 3 === 0) return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      if (index % 3 === 2) return '';
      names.push(`<${part}${parts[index + 1] ?? ''}>`);
      return `(${KINDS[part] ?? '[^"]+'})`;
    })
    .join('');
  const match = new RegExp(`^${pattern}$`).exec(text);
  if (match === null) return text;
  for (const [index, name] of names.entries()) if (name !== '<time>') bindings.set(name, match[index + 1] ?? '');
  return template;
}
