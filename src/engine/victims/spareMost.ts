import type { Unit } from './units.ts';

/** Trials of one question: long lists of which little can stay are left as they are. */
const MOST_TRIALS = 64;

/**
 * A large part of `list` for which `works` holds: first all of it, then halves of what does not, each beside what is kept
 * already. Earlier entries are kept first.
 */
export function spareMost<T>(list: readonly T[], works: (kept: readonly T[]) => boolean): readonly T[] {
  let kept: readonly T[] = [];
  const parts = [list];
  for (let trials = 0; trials < MOST_TRIALS; trials++) {
    const part = parts.pop();
    if (part === undefined) break;
    const more = [...kept, ...part];
    if (works(more)) kept = more;
    else if (part.length > 1) {
      const half = part.length >> 1;
      parts.push(part.slice(half), part.slice(0, half));
    }
  }
  return kept;
}

/** Of each job the last units stay: it leaves from its first unit on. `moved` has the last ones first. */
export function areLast(stay: readonly Unit[], moved: readonly Unit[]): boolean {
  const staying = new Set(stay);
  const isLeaving = new Set<number>();
  for (const unit of moved) {
    if (!staying.has(unit)) isLeaving.add(unit.job);
    else if (isLeaving.has(unit.job)) return false;
  }
  return true;
}
