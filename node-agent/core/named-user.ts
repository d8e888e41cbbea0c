/** Users of the machine that tasks without a container may ask for by name, as its operator lists them (`--process-user`). */

export interface NamedUser {
  readonly uid: number;
  readonly gid: number;
}

export const USER_NAME_PATTERN = /^[a-z_][a-zA-Z0-9_.-]{0,31}$/;

/** As `/etc/passwd` has it. */
export function namedUser(passwd: string, name: string): NamedUser | null {
  const [, , uid = '', gid = ''] =
    passwd
      .split('\n')
      .map((line) => line.split(':'))
      .find(([first]) => first === name) ?? [];
  if (!/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return null;
  return { uid: Number(uid), gid: Number(gid) };
}

/** What is wrong with those that are listed: nobody there, or root, who could do to the agent whatever he likes. */
export function namedUserFaults(passwd: string, names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const user = namedUser(passwd, name);
    if (user === null)
      return [`--process-user is "${name}", and /etc/passwd has no such user; add it, or name another one`];
    if (user.uid === 0)
      return [`--process-user is "${name}", which is root; tasks have no rights, so name another user`];
    return [];
  });
}

/** Why a task can't run as the user that it asks for; null: it can. */
export function namedUserRefusal(name: string, allowed: readonly string[]): string | null {
  if (allowed.includes(name)) return null;
  if (!USER_NAME_PATTERN.test(name)) {
    return `without a container the user is one by name, without a group or a number; "${name}" is not`;
  }
  if (name === 'root') return 'a process without a container never runs as root';
  return `the node's operator does not allow processes of the user ${name}; its agent would need --process-user ${name}`;
}
