import { NO_ROW } from '../../base/rows.ts';
import { shardFilter } from '../session/openQueues.ts';
import type { Session } from '../session/session.ts';

/**
 * Bind requests to delete, as "namespace/name", sorted (spec 03 section 2.5): failed ones on nodes of the session, and those
 * of this shard whose node is not in the session.
 */
export function staleBindRequests(s: Session): string[] {
  const b = s.view.bindRequests;
  const inShard = shardFilter(s.view, s.config);
  const stale: string[] = [];
  for (let row = 0; row < b.rows; row++) {
    if (b.used[row] !== 1) continue;
    const nodeText = b.nodeText[row]!;
    const isHere = nodeText !== NO_ROW && s.nodeOfText[nodeText]! >= 0;
    if (isHere ? b.isFailed[row] === 1 : inShard(b.poolText[row]!)) stale.push(s.view.texts.get(b.nameKeyText[row]!));
  }
  return stale.sort();
}
