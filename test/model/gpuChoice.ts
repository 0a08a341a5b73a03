// Which GPUs of a node a shared request gets (spec 03 section 9).
import { amountOf } from './amounts.ts';
import { fitsNow } from './fit.ts';
import { deviceMib, fitsGroupNow, fittingGroups } from './ledger.ts';
import type { Request } from './request.ts';
import { hasPlugin, type NodeFacts, type NodeLedger, type World } from './types.ts';

/** Groups made in this cycle are named by their number; they come after those of the snapshot. */
export const NEW_GROUP = 'new#';

export interface GpuChoice {
  /** Existing groups by name; null where a device of its own is to be taken. */
  readonly entries: readonly (string | null)[];
  readonly mustWait: boolean;
}

/** Groups of the snapshot by name, then those of this cycle in the order of their making. */
function compareGroups(a: string, b: string): number {
  const number = (name: string): number => (name.startsWith(NEW_GROUP) ? Number(name.slice(NEW_GROUP.length)) : -1);
  return number(a) - number(b) || (a < b ? -1 : a > b ? 1 : 0);
}

/** The choice for all devices of the request, or null when the node has too few. */
export function chooseGpus(world: World, request: Request, facts: NodeFacts, node: NodeLedger): GpuChoice | null {
  const [isPack, isSpread] = [hasPlugin(world.config, 'gpupack'), hasPlugin(world.config, 'gpuspread')];
  const score = (group: string | null): number => {
    const used = group === null ? 0 : node.groups.get(group)!.usedMib / facts.gpuMib;
    return (isPack ? used : 0) + (isSpread ? 1 - used : 0);
  };
  const [idle, releasing] = [Math.trunc(amountOf(node.idle, 'gpu')), Math.trunc(amountOf(node.releasing, 'gpu'))];
  const groups = fittingGroups(node, facts, request).sort(compareGroups);
  const wholes = Array<null>(idle > 0 || releasing > 0 ? Math.max(0, idle + releasing) : 0).fill(null);
  const entries = [...groups, ...wholes].sort((a, b) => score(b) - score(a)).slice(0, request.count);
  if (request.count < 1 || entries.length < request.count) return null;

  const mib = deviceMib(request, facts);
  const fitsGroups = entries.every((group) => group === null || fitsGroupNow(node.groups.get(group)!, facts, mib));
  const fitsWholes = entries.filter((group) => group === null).length <= Math.max(0, idle);
  return { entries, mustWait: !fitsNow(request, facts, node) || !fitsGroups || !fitsWholes };
}
