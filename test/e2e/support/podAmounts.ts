// What a pod takes of a node, counted independently of the scheduler's own arithmetic.
import type { Container, Pod, ResourceList } from '../../../src/base/objects.ts';
import { milliCeil } from '../../../src/base/quantity.ts';

/** Thousandths of each resource; exact for what tests use. */
export type Amounts = Map<string, number>;

export function amountsOf(list: ResourceList | null | undefined): Amounts {
  return new Map(Object.entries(list ?? {}).map(([name, quantity]) => [name, milliCeil(quantity)]));
}

export function addInto(sums: Amounts, amounts: ReadonlyMap<string, number>, sign: 1 | -1 = 1): void {
  for (const [name, amount] of amounts) sums.set(name, (sums.get(name) ?? 0) + sign * amount);
}

/** First resource of which there would be more than `allocatable` has; resources that the node does not list are not its business. */
export function exceeding(
  used: ReadonlyMap<string, number>,
  wanted: ReadonlyMap<string, number>,
  allocatable: ReadonlyMap<string, number>,
): string | undefined {
  return [...wanted.keys()].find((name) => allocatable.has(name) && (used.get(name) ?? 0) + wanted.get(name)! > allocatable.get(name)!);
}

function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

/** Containers and sidecars together, or the greediest step of the start if that is more; overhead and one pod slot on top. */
export function podAmounts(pod: Pod): Amounts {
  const total: Amounts = new Map();
  for (const container of pod.spec.containers ?? []) addInto(total, amountsOf(container.resources?.requests));
  const sidecars: Amounts = new Map();
  const steps: Amounts = new Map();
  for (const container of pod.spec.initContainers ?? []) {
    const amounts = amountsOf(container.resources?.requests);
    if (isSidecar(container)) addInto(sidecars, amounts);
    else {
      addInto(amounts, sidecars);
      for (const [name, amount] of amounts) steps.set(name, Math.max(steps.get(name) ?? 0, amount));
    }
  }
  addInto(total, sidecars);
  for (const [name, amount] of steps) total.set(name, Math.max(total.get(name) ?? 0, amount));
  addInto(total, amountsOf(pod.spec.overhead));
  total.set('pods', 1000);
  return total;
}
