import type { Session } from '../session/session.ts';

/** Root → leaf path of a queue. */
export function pathOf(s: Session, queue: number): number[] {
  const path: number[] = [];
  for (let q = queue; q >= 0; q = s.queues.parent[q]!) path.unshift(q);
  return path;
}

/** The first pair of different ancestors-or-self of two queues, walking from the root (spec 04 section 6.1.2). */
export function divergingPair(s: Session, a: number, b: number): readonly [number, number] {
  const pa = pathOf(s, a);
  const pb = pathOf(s, b);
  let i = 0;
  while (i < pa.length - 1 && i < pb.length - 1 && pa[i] === pb[i]) i++;
  return [pa[i]!, pb[i]!];
}
