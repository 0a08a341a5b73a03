// Cases that are known to fail, each with its reason. A case that is listed and passes is an error: the list must not rot.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface ArguedFile {
  readonly reasons: Readonly<Record<string, string>>;
  /** Case id to a key of `reasons`. */
  readonly cases: Readonly<Record<string, string>>;
}

/** The reason of each listed case, by its id. Throws when a case names a reason that is not there. */
export function arguedFailures(): ReadonlyMap<string, string> {
  const file = JSON.parse(readFileSync(join(import.meta.dirname, 'argued.json'), 'utf8')) as ArguedFile;
  return new Map(
    Object.entries(file.cases).map(([id, key]) => {
      const reason = file.reasons[key];
      if (reason === undefined) throw new Error(`argued.json: ${id} names the reason ${key}, which is not there`);
      return [id, reason];
    }),
  );
}
