import { countOf } from '../session/occupy.ts';
import type { Session, SubGroupMember } from '../session/session.ts';
import { SET_CELL } from '../state/layout.ts';
import { countSatisfied } from './gang.ts';

/**
 * Members of a set, pod sets and inner sets alike (spec 02 section 9.3):
 * 1. unsatisfied first; 2. required before optional; 3. both optional: smaller count; 4. smaller count/need; 5. name.
 * Without plugin `subgrouporder` only the name counts. Members come sorted by name, and the sort is stable.
 */
export function orderMembers(s: Session, members: readonly SubGroupMember[]): readonly SubGroupMember[] {
  if (members.length < 2 || !s.plugins.has('subgrouporder')) return members;
  const keyed = members.map((m) => ({
    m,
    count: m.set === null ? countOf(s, SET_CELL.active, m.podSet) : countSatisfied(s, m.set),
    need: m.set === null ? s.podSets.min[m.podSet]! : m.set.need,
  }));
  keyed.sort((a, b) => {
    const isLow = Number(a.count >= a.need) - Number(b.count >= b.need);
    if (isLow !== 0 || a.count < a.need) return isLow;
    if (a.need > 0 !== b.need > 0) return a.need > 0 ? -1 : 1;
    if (a.need === 0) return a.count - b.count;
    return a.count * b.need - b.count * a.need;
  });
  return keyed.map((k) => k.m);
}
