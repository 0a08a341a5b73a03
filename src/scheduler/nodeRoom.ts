// Does a pod still fit on its node, by what is known just before the binding? Plain sums over the node's pods, as a kubelet makes them.
import type { Container, Node, Pod, ResourceList } from '../base/objects.ts';
import { milliCeil } from '../base/quantity.ts';

/** Thousandths by resource name. */
type Amounts = Map<string, number>;

/** What the pod lacks on the node beside `others`, as a sentence; undefined = it fits. Resources that the node does not list are not checked. */
export function missingRoom(node: Node, others: Iterable<Pod>, pod: Pod): string | undefined {
  const wanted = amountsOf(pod);
  const used: Amounts = new Map();
  for (const other of others) add(used, amountsOf(other));
  for (const [name, allocatable] of Object.entries(node.status?.allocatable ?? {})) {
    const want = wanted.get(name) ?? 0;
    if (want > 0 && (used.get(name) ?? 0) + want > milliCeil(allocatable)) {
      return `other pods have taken the room meanwhile: not enough ${name} on the node`;
    }
  }
  return undefined;
}

/** Containers and sidecars together, or the greediest step of the start if that is more; overhead and one pod slot on top. */
function amountsOf(pod: Pod): Amounts {
  const total: Amounts = new Map();
  for (const container of pod.spec.containers ?? []) add(total, requestsOf(container));
  const sidecars: Amounts = new Map();
  const peaks: Amounts = new Map();
  for (const container of pod.spec.initContainers ?? []) {
    const own = requestsOf(container);
    if (container.restartPolicy === 'Always') add(sidecars, own);
    else {
      add(own, sidecars);
      for (const [name, amount] of own) peaks.set(name, Math.max(peaks.get(name) ?? 0, amount));
    }
  }
  add(total, sidecars);
  for (const [name, amount] of peaks) total.set(name, Math.max(total.get(name) ?? 0, amount));
  add(total, listOf(pod.spec.overhead));
  total.set('pods', 1000);
  return total;
}

function requestsOf(container: Container): Amounts {
  return listOf(container.resources?.requests);
}

function listOf(list: ResourceList | null | undefined): Amounts {
  const amounts: Amounts = new Map();
  for (const name in list) {
    const amount = milliCeil(list[name]!);
    if (amount > 0) amounts.set(name, amount);
  }
  return amounts;
}

function add(sums: Amounts, amounts: Amounts): void {
  for (const [name, amount] of amounts) sums.set(name, (sums.get(name) ?? 0) + amount);
}
