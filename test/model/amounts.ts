// Amounts by resource name, in the units of spec 02 section 2.1: `cpu` milli-CPU, `memory` bytes, `gpu` devices, `pods` and
// MIG profiles counts, storage bytes, every other resource thousandths.
import type { ResourceList } from '../../src/base/objects.ts';
import { addExact, type ExactAmount, exactToMilliCeil, exactToValueCeil, parseExact } from '../../src/base/quantity.ts';

export type Amounts = Record<string, number>;

export const MIG_PREFIX = 'nvidia.com/mig-';
const GPU_NAMES: readonly string[] = ['nvidia.com/gpu', 'amd.com/gpu'];

/** Names that are counted in thousandths: extended, hugepages, native with prefix, attachable volumes (spec 02 section 2.1). */
function isScalar(name: string): boolean {
  if (name.startsWith('hugepages-') || name.startsWith('attachable-volumes-')) return true;
  return name.includes('/') && !name.startsWith('requests.');
}

/** A resource list in internal units. Names that the scheduler does not know and quantities of zero are left out. */
export function readAmounts(list: Readonly<Record<string, ExactAmount>>): Amounts {
  const amounts: Amounts = {};
  for (const [name, amount] of Object.entries(list)) {
    const key = GPU_NAMES.includes(name) ? 'gpu' : name;
    const isCount = key === 'gpu' || name.startsWith(MIG_PREFIX) || ['memory', 'pods', 'ephemeral-storage', 'storage'].includes(name);
    if (!isCount && name !== 'cpu' && !isScalar(name)) continue;
    const value = isCount ? exactToValueCeil(amount) : exactToMilliCeil(amount);
    if (value !== 0) amounts[key] = (amounts[key] ?? 0) + value;
  }
  return amounts;
}

/** Exact sum of resource lists; quantities that are none count nothing. */
export function sumLists(lists: readonly (ResourceList | null | undefined)[]): Record<string, ExactAmount> {
  const sum: Record<string, ExactAmount> = {};
  for (const list of lists) {
    for (const [name, quantity] of Object.entries(list ?? {})) {
      const amount = parseExact(quantity);
      if (amount !== undefined) sum[name] = addExact(sum[name] ?? 0, amount);
    }
  }
  return sum;
}

export function plus(a: Amounts, b: Amounts, sign = 1): Amounts {
  const sum = { ...a };
  for (const [name, amount] of Object.entries(b)) sum[name] = (sum[name] ?? 0) + sign * amount;
  return sum;
}

export function largest(a: Amounts, b: Amounts): Amounts {
  const max = { ...a };
  for (const [name, amount] of Object.entries(b)) max[name] = Math.max(max[name] ?? 0, amount);
  return max;
}

export function amountOf(amounts: Amounts, name: string): number {
  return amounts[name] ?? 0;
}

/** GPUs that one instance of a MIG profile counts as for queues: `nvidia.com/mig-<N>g.<M>gb` → N, other names 0. */
function gpusOfMig(profile: string): number {
  return Number(/^nvidia\.com\/mig-(\d+)g\.(\d+)gb$/.exec(profile)?.[1] ?? 0);
}

export function migGpus(amounts: Amounts): number {
  return Object.entries(amounts).reduce((sum, [name, count]) => sum + (name.startsWith(MIG_PREFIX) ? gpusOfMig(name) * count : 0), 0);
}

/** Names of the requested resources in the order of messages: cpu, memory, gpu, pods, then by name (spec 01 section 2.6). */
export function namesInOrder(amounts: Amounts): string[] {
  const first = ['cpu', 'memory', 'gpu', 'pods'];
  const rest = Object.keys(amounts).filter((name) => !first.includes(name));
  return [...first.filter((name) => name in amounts), ...rest.sort()];
}
