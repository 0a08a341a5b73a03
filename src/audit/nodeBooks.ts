import type { Findings } from './findings.ts';
import type { AuditNode } from './nodes.ts';
import { deviceMib } from './requests.ts';
import type { AuditPod, World } from './world.ts';

/** Amounts that are held, of these those that are leaving, and those promised to waiting pods. */
interface Account {
  held: number;
  leaving: number;
  waiting: number;
}

export interface Port {
  readonly ip: string;
  /** "TCP/8080" */
  readonly port: string;
}

/** What is on one node and what is promised there. Names as in `Amounts`, with "pods" and, for whole devices, "gpu". */
export class NodeBook {
  readonly node: AuditNode;
  readonly #accounts = new Map<string, Account>();
  /** MiB by GPU group. */
  readonly #groups = new Map<string, Account>();
  readonly ports = new Map<string, readonly Port[]>();
  /** Pods of the running action: those that opened a GPU group, and how many came at all. */
  readonly #openers: string[] = [];
  #placed = 0;

  constructor(node: AuditNode) {
    this.node = node;
  }

  #account(map: Map<string, Account>, name: string): Account {
    let account = map.get(name);
    if (account === undefined) {
      account = { held: 0, leaving: 0, waiting: 0 };
      map.set(name, account);
    }
    return account;
  }

  #change(pod: AuditPod, amounts: ReadonlyMap<string, number>, field: keyof Account): void {
    for (const [name, amount] of amounts) this.#account(this.#accounts, name)[field] += amount;
    if (pod.request.kind !== 'shared') return;
    const mib = deviceMib(pod.request, this.node.gpuMib);
    for (const group of pod.groups) this.#account(this.#groups, group)[field] += mib;
  }

  /** The pod is on the node when the cycle begins. */
  hold(pod: AuditPod, amounts: ReadonlyMap<string, number>): void {
    this.#change(pod, amounts, 'held');
    this.#notePorts(pod);
  }

  /** The pod is bound here. */
  assign(pod: AuditPod, amounts: ReadonlyMap<string, number>): void {
    this.#placed++;
    this.hold(pod, amounts);
  }

  /** A pod on the node leaves: it still holds everything. */
  leave(pod: AuditPod, amounts: ReadonlyMap<string, number>): void {
    this.#change(pod, amounts, 'leaving');
  }

  /** The pod gets its place once others have left. */
  promise(pod: AuditPod, amounts: ReadonlyMap<string, number>): void {
    this.#placed++;
    this.#change(pod, amounts, 'waiting');
    this.#notePorts(pod);
  }

  /** The pod will not come after all. */
  unpromise(pod: AuditPod, amounts: ReadonlyMap<string, number>): void {
    for (const [name, amount] of amounts) this.#account(this.#accounts, name).waiting -= amount;
    if (pod.request.kind === 'shared')
      for (const group of pod.groups) this.#account(this.#groups, group).waiting -= deviceMib(pod.request, this.node.gpuMib);
    this.ports.delete(pod.key);
  }

  #notePorts(pod: AuditPod): void {
    const ports = hostPorts(pod);
    if (ports.length > 0) this.ports.set(pod.key, ports);
  }

  hasGroup(group: string): boolean {
    const account = this.#groups.get(group);
    return account !== undefined && (account.held > 0 || account.waiting > 0);
  }

  /** The pod opens a GPU group here: its reservation pod will need a slot as well (spec 03 section 7.3 step 4). */
  noteNewGroup(pod: AuditPod): void {
    this.#openers.push(pod.key);
  }

  /**
   * Called after each action. Only the first pod that opens a group can be told to have had two slots: the order inside the
   * action is not known for sure.
   */
  checkSlots(findings: Findings): void {
    const { held, leaving, waiting } = this.#account(this.#accounts, 'pods');
    const free = (this.node.allocatable.get('pods') ?? 0) - held + leaving - waiting + this.#placed;
    if (this.#openers.length > 0 && free < 2) {
      findings.add(
        'node-overcommit',
        `node ${this.node.name}`,
        `${this.#openers.join(', ')} open GPU groups, but ${free} pod slots were free`,
      );
    }
    this.#openers.length = 0;
    this.#placed = 0;
  }

  /** What is over the node's amounts among the names in `asked`, now and later. */
  excess(asked: Iterable<string>, isDelegated: (name: string) => boolean): string[] {
    const out: string[] = [];
    for (const name of asked) {
      const have = (this.node.allocatable.get(name) ?? 0) + (name === 'gpu' ? this.node.sliceGpus : 0);
      if (have === 0 && isDelegated(name)) continue;
      const { held, leaving, waiting } = this.#account(this.#accounts, name);
      const later = held - leaving + waiting;
      const [now, then] = name === 'gpu' ? [held + this.#devices(false), later + this.#devices(true)] : [held, later];
      out.push(...overText(name, now, then, have));
    }
    return out;
  }

  /** Devices that have a GPU group, now or once everybody who leaves has left. */
  #devices(isLater: boolean): number {
    let count = 0;
    for (const { held, leaving, waiting } of this.#groups.values()) if ((isLater ? held - leaving + waiting : held) > 0) count++;
    return count;
  }

  groupExcess(groups: readonly string[]): string[] {
    return groups.flatMap((group) => {
      const { held, leaving, waiting } = this.#account(this.#groups, group);
      return overText(`MiB of GPU group ${group}`, held, held - leaving + waiting, this.node.gpuMib);
    });
  }
}

/** Texts start with "now" when it is held already, with "later" when it is only promised. */
function overText(name: string, now: number, later: number, have: number): string[] {
  const out: string[] = [];
  if (now > have) out.push(`now ${now} of ${have} ${name}`);
  if (later > have) out.push(`later ${later} of ${have} ${name}`);
  return out;
}

/** What a pod takes of its node: names with amounts above zero, one pod slot, whole devices as "gpu". */
export function nodeAmounts(world: World, pod: AuditPod): Map<string, number> {
  const { request } = pod;
  const out = new Map<string, number>([...request.others].filter(([, amount]) => amount > 0));
  if (request.milliCpu > 0) out.set('cpu', request.milliCpu);
  if (request.memoryBytes > 0) out.set('memory', request.memoryBytes);
  out.set('pods', 1);
  const isReservation = pod.pod.metadata.labels?.app === world.options.resourceReservationAppLabel;
  // Devices of claims are told apart by name (rule device-twice); they stand beside the devices that are counted.
  const gpus = isReservation || request.kind !== 'regular' ? 0 : request.wholeGpus;
  if (gpus > 0) out.set('gpu', gpus);
  return out;
}

export function hostPorts(pod: AuditPod): Port[] {
  const { containers, initContainers } = pod.pod.spec;
  const serving = [...(containers ?? []), ...(initContainers ?? []).filter((c) => c.restartPolicy === 'Always')];
  return serving
    .flatMap((c) => c.ports ?? [])
    .filter((p) => (p.hostPort ?? 0) > 0)
    .map((p) => ({ ip: p.hostIP || '0.0.0.0', port: `${p.protocol || 'TCP'}/${p.hostPort}` }));
}
