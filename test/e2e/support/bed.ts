// What the scenarios of one file run on: a control plane with an installation, a test kubelet, a witness, an audit log of the server
// and scheduler processes. After each scenario it is checked that nobody broke a rule, then the cluster is emptied.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect } from 'vitest';
import { missingControlPlane } from '../../control-plane/build.ts';
import { type ControlPlane, DEFAULT_CONTROLLERS, startControlPlane } from '../../control-plane/controlPlane.ts';
import type { ApiClient } from './apiClient.ts';
import { AuditWatch, type PodRecord } from './auditWatch.ts';
import {
  type BedOptions,
  clearedPaths,
  type GangShape,
  type PodCondition,
  RESOURCE_API_ARGS,
  type SeenEvent,
  type StartOptions,
  TEAM,
} from './bedOptions.ts';
import { auditDecisions } from './decisionAudit.ts';
import { type FaultProxy, startFaultProxy } from './faultProxy.ts';
import { History } from './history.ts';
import { adminClient, createNamespace, createObjects, install, waitFor } from './install.ts';
import { nodeObject, podGroupObject, podObject, queueObject } from './objects.ts';
import { RequestLog } from './requestLog.ts';
import { type SchedulerProcess, startScheduler } from './schedulerProcess.ts';
import { TestKubelet } from './testKubelet.ts';

/** A scenario that needs this long does not work; no scenario asserts a time. */
const PATIENCE_MS = 90_000;
const SCHEDULER_USER = 'system:serviceaccount:kai-scheduler:kai-scheduler';

/** Declares a suite that is skipped, loudly, where no control plane can be had. `bed` is there within the tests. */
export function onCluster(title: string, options: BedOptions, declare: (bed: () => Bed) => void): void {
  const missing = missingControlPlane();
  if (missing !== null) console.warn(`SKIPPED ${title}: ${missing}`);
  describe.skipIf(missing !== null)(title, () => {
    let bed: Bed | undefined;
    const current = (): Bed => {
      if (bed === undefined) throw new Error('the control plane is not up');
      return bed;
    };
    beforeAll(async () => {
      bed = await Bed.start(options);
    });
    afterEach(async ({ task }) => {
      if (task.result?.state === 'fail') console.error(current().logs());
      try {
        await current().verify();
      } finally {
        if (options.args === null) await current().killSchedulers();
        await current().clear();
      }
    });
    afterAll(async () => {
      await bed?.stop();
    });
    declare(current);
  });
}

export { TEAM };

export class Bed {
  readonly plane: ControlPlane;
  /** The administrator's. */
  readonly client: ApiClient;
  readonly audit: AuditWatch;
  readonly kubelet: TestKubelet;
  /** Stands before the API server when the options say so. */
  readonly proxy: FaultProxy;
  readonly schedulerToken: string;
  readonly #requests: RequestLog;
  readonly #folder: string;
  readonly #witness: ApiClient;
  readonly #history: History;
  readonly #options: BedOptions;
  readonly #schedulers = new Map<string, SchedulerProcess>();
  readonly #outages: { readonly fromMs: number; readonly toMs: number }[] = [];

  private constructor(
    parts: Pick<Bed, 'plane' | 'client' | 'audit' | 'kubelet' | 'proxy' | 'schedulerToken'>,
    rest: {
      readonly folder: string;
      readonly witness: ApiClient;
      readonly history: History;
      readonly options: BedOptions;
    },
  ) {
    this.plane = parts.plane;
    this.client = parts.client;
    this.audit = parts.audit;
    this.kubelet = parts.kubelet;
    this.proxy = parts.proxy;
    this.schedulerToken = parts.schedulerToken;
    this.#folder = rest.folder;
    this.#witness = rest.witness;
    this.#history = rest.history;
    this.#options = rest.options;
    this.#requests = new RequestLog(join(rest.folder, 'audit.log'), SCHEDULER_USER);
  }

  static async start(options: BedOptions): Promise<Bed> {
    const folder = mkdtempSync(join(tmpdir(), 'kai-e2e-'));
    const policy = {
      apiVersion: 'audit.k8s.io/v1',
      kind: 'Policy',
      omitStages: ['RequestReceived', 'ResponseStarted'],
      rules: [{ level: 'Metadata', users: [SCHEDULER_USER] }, { level: 'None' }],
    };
    writeFileSync(join(folder, 'policy.json'), JSON.stringify(policy));
    const apiServerArgs = [`--audit-policy-file=${join(folder, 'policy.json')}`, `--audit-log-path=${join(folder, 'audit.log')}`];
    const { claims = 'v1' } = options;
    const plane = await startControlPlane({
      apiServerArgs: [...apiServerArgs, ...RESOURCE_API_ARGS[claims]],
      controllers: claims === 'v1' ? undefined : DEFAULT_CONTROLLERS.filter((name) => name !== 'resourceclaim-controller'),
    });
    const { client, schedulerToken } = await install(plane);
    await createNamespace(client, TEAM);
    const witness = adminClient(plane);
    const audit = new AuditWatch(witness);
    await audit.start();
    const history = new History(witness, claims === 'v1');
    await history.open();
    const kubelet = new TestKubelet({ ...options.kubelet, client });
    await kubelet.start();
    const proxy = await startFaultProxy(plane);
    const bed = new Bed({ plane, client, audit, kubelet, proxy, schedulerToken }, { folder, witness, history, options });
    if (options.args !== null) await bed.startScheduler('scheduler', { args: options.args, env: options.env });
    return bed;
  }

  async stop(): Promise<void> {
    await this.killSchedulers();
    await this.kubelet.stop();
    await this.audit.stop();
    await this.#history.close();
    await this.proxy.close();
    await this.#witness.close();
    await this.client.close();
    await this.plane.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Starts a scheduler process and, unless told otherwise, waits until it is ready. */
  async startScheduler(
    name: string,
    { args, env, isAwaited = true, token = this.schedulerToken }: StartOptions = {},
  ): Promise<SchedulerProcess> {
    const url = this.#options.isProxied === true ? this.proxy.url : undefined;
    const scheduler = await startScheduler({ plane: this.plane, token, name, url, args, env });
    this.#schedulers.set(name, scheduler);
    if (isAwaited) await scheduler.ready();
    return scheduler;
  }

  /** Ends a scheduler as part of the scenario: by SIGKILL, or by SIGTERM, after which it must end by itself and with exit code 0. */
  async endScheduler(name: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const scheduler = this.scheduler(name);
    this.#schedulers.delete(name);
    if (signal === 'SIGKILL') await scheduler.kill();
    else expect(await scheduler.stop(30_000), scheduler.program.tail()).toBe(0);
  }

  scheduler(name = 'scheduler'): SchedulerProcess {
    const scheduler = this.#schedulers.get(name);
    if (scheduler === undefined) throw new Error(`no scheduler ${name} was started`);
    return scheduler;
  }

  /** The process is to end by itself: `verify` does not ask for it any more. Resolves with its exit code. */
  async untilEnded(name: string): Promise<number | NodeJS.Signals | null> {
    const { program } = this.scheduler(name);
    await this.until(`${name} to end`, () => !program.isRunning);
    this.#schedulers.delete(name);
    return program.exited;
  }

  async killSchedulers(): Promise<void> {
    for (const scheduler of this.#schedulers.values()) await scheduler.kill();
    this.#schedulers.clear();
  }

  logs(): string {
    return [...this.#schedulers].map(([name, { program }]) => `── end of the log of ${name}\n${program.tail(60)}`).join('\n');
  }

  /**
   * What the auditor of `src/audit` finds in the bindings and evictions since the scenario began, as the API server showed them.
   * A gang that is just being bound is told as partial.
   */
  async findings(): Promise<string[]> {
    await this.#history.caughtUp();
    const { items } = await this.client.list<SeenEvent>(`/api/v1/namespaces/${TEAM}/events`);
    const evictEvents = items.flatMap(({ reason, involvedObject, metadata: { annotations } }) => {
      const evictor = annotations?.['evictor-pod-group-name'];
      const namespace = annotations?.['evictor-pod-group-namespace'];
      const said = { action: annotations?.['evictor-action-type'] ?? '', evictor: evictor === undefined ? '' : `${namespace}/${evictor}` };
      return reason === 'Evict' ? [{ groupUid: involvedObject?.uid ?? '', ...said }] : [];
    });
    return auditDecisions({
      begin: this.#history.begin(),
      changes: this.#history.changes,
      deletedPaths: this.#requests.deletedPods(),
      evictEvents,
      isDraServed: (this.#options.claims ?? 'v1') === 'v1',
      ...this.#options.audited,
    });
  }

  /** What happened until now is not judged. */
  async forgive(): Promise<void> {
    await this.#history.caughtUp();
    this.#history.restart();
    this.audit.violations.length = 0;
    this.kubelet.rejections.length = 0;
  }

  /** Bindings may be under way when a scenario ends. */
  async #settledFindings(): Promise<string[]> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = await this.findings();
      const isFinal = found.every((line) => !line.startsWith('partial-gang'));
      if (isFinal || performance.now() > deadlineMs) return found;
      await sleep(500);
    }
  }

  /** What no run may have: broken rules, refusals by kubelets, requests without permission, ended processes, unexpected errors. */
  async verify(): Promise<void> {
    expect(this.audit.violations).toEqual([]);
    expect(this.kubelet.rejections).toEqual([]);
    expect(await this.#settledFindings()).toEqual([]);
    expect(this.#requests.withCode(403, (atMs) => this.#outages.some(({ fromMs, toMs }) => fromMs <= atMs && atMs <= toMs))).toEqual([]);
    for (const [name, { program }] of this.#schedulers) {
      expect(program.isRunning, `${name} has ended:\n${program.tail()}`).toBe(true);
      const isExpected = (line: string): boolean => this.#options.expectedErrors?.test(line) === true;
      expect(
        program
          .log()
          .split('\n')
          .filter((line) => isAlarming(line) && !isExpected(line)),
      ).toEqual([]);
    }
  }

  /**
   * The API server crashes, `meanwhile` happens, and it starts again. Before it is ready it has not read the roles yet and forbids
   * everything: this is not held against the scheduler.
   */
  async crashApiServer(meanwhile: () => Promise<unknown>): Promise<void> {
    const fromMs = Date.now();
    await this.plane.killApiServer();
    try {
      await meanwhile();
    } finally {
      await this.plane.startApiServer();
      this.#outages.push({ fromMs, toMs: Date.now() });
    }
  }

  /** Requests of the scheduler's account that the server has logged since the start of the file. */
  requestCount(): number {
    return this.#requests.count();
  }

  /** Successful writes of the scheduler's account by "verb resource/subresource" since `from`, a former requestCount. */
  writesSince(from: number): Record<string, number> {
    return this.#requests.writesSince(from);
  }

  async clear(): Promise<void> {
    const { claims = 'v1' } = this.#options;
    for (const path of clearedPaths(claims)) {
      await this.client.retry(() => this.client.delete(path, { gracePeriodSeconds: 0, propagationPolicy: 'Background' }));
    }
    await waitFor('the cluster to be empty', () => this.audit.pods.size === 0 && this.audit.nodes.size === 0, PATIENCE_MS);
    await this.forgive();
  }

  /** Writes a configuration for `--scheduler-conf`, the way a mounted ConfigMap changes: another file of the same name. */
  writeConfig(config: object | string): string {
    const file = join(this.plane.folder, 'config.yaml');
    writeFileSync(`${file}.next`, typeof config === 'string' ? config : JSON.stringify(config));
    renameSync(`${file}.next`, file);
    return file;
  }

  /** Creates objects, a few at a time, in the order given. */
  async create(...objects: readonly object[]): Promise<void> {
    await createObjects(this.client, objects);
  }

  /** `count` equal nodes n1, n2 …, and one queue that may use everything. */
  async createCluster(count: number, shape: Parameters<typeof nodeObject>[1] = {}): Promise<void> {
    const nodes = Array.from({ length: count }, (_, i) => nodeObject(`n${i + 1}`, shape));
    await this.create(...nodes, queueObject('examples'));
  }

  /** A pod group and its pods `<name>-0` …; returns their keys. */
  async createGang(name: string, count: number, shape: GangShape = {}): Promise<string[]> {
    const { queue = 'examples', minMember = count, groupSpec, groupLabels, ...pod } = shape;
    await this.create(podGroupObject(TEAM, name, queue, { minMember, ...groupSpec }, groupLabels));
    const names = Array.from({ length: count }, (_, i) => `${name}-${i}`);
    await this.create(...names.map((podName) => podObject(TEAM, podName, { group: name, ...pod })));
    return names.map((podName) => `${TEAM}/${podName}`);
  }

  until(what: string, test: () => boolean | Promise<boolean>, timeoutMs = PATIENCE_MS): Promise<void> {
    return waitFor(what, test, timeoutMs);
  }

  record(key: string): PodRecord {
    const record = this.audit.recordOf(key);
    if (record === undefined) throw new Error(`${key} was never seen`);
    return record;
  }

  nodeOf(key: string): string | undefined {
    return this.audit.pods.get(key)?.spec.nodeName ?? undefined;
  }

  /** It holds a node and was not asked to go. */
  isStaying(key: string): boolean {
    const pod = this.audit.pods.get(key);
    return pod?.spec.nodeName !== undefined && pod.metadata.deletionTimestamp == null;
  }

  boundOf(keys: readonly string[]): string[] {
    return keys.filter((key) => this.nodeOf(key) !== undefined);
  }

  untilBound(keys: readonly string[]): Promise<void> {
    return this.until(`${keys.length} pods to be bound: ${keys[0]} …`, () => this.boundOf(keys).length === keys.length);
  }

  untilRunning(keys: readonly string[]): Promise<void> {
    const isRunning = (key: string): boolean => this.audit.pods.get(key)?.status?.phase === 'Running';
    return this.until(`${keys.length} pods to run: ${keys[0]} …`, () => keys.every(isRunning));
  }

  untilGone(keys: readonly string[]): Promise<void> {
    return this.until(`pods to be gone: ${keys.join()}`, () => keys.every((key) => !this.audit.pods.has(key)));
  }

  /** Until each pod was told that it cannot be scheduled. */
  untilUnschedulable(keys: readonly string[]): Promise<void> {
    const isTold = (key: string): boolean => this.condition(key, 'PodScheduled')?.reason === 'Unschedulable';
    return this.until(`pods to be told unschedulable: ${keys.join()}`, () => keys.every(isTold));
  }

  condition(key: string, type: string): PodCondition | undefined {
    const status = this.audit.pods.get(key)?.status as { readonly conditions?: readonly PodCondition[] } | undefined;
    return status?.conditions?.find((condition) => condition.type === type);
  }

  groupConditions(
    name: string,
  ): readonly { readonly reason?: string; readonly message?: string; readonly reasons?: readonly { reason?: string }[] }[] {
    return (this.audit.podGroups.get(`${TEAM}/${name}`)?.status?.schedulingConditions ?? []) as never;
  }

  async events(objectName: string): Promise<SeenEvent[]> {
    const { items } = await this.client.list<SeenEvent>(`/api/v1/namespaces/${TEAM}/events`);
    return items.filter((event) => event.involvedObject?.name === objectName);
  }

  untilEvent(objectName: string, reason: string, text: RegExp = /./): Promise<void> {
    return this.until(`event ${reason} ${text} of ${objectName}`, async () =>
      (await this.events(objectName)).some((event) => event.reason === reason && text.test(event.message)),
    );
  }

  async delete(key: string, options: object = {}): Promise<void> {
    const [namespace, name] = key.split('/');
    await this.client.delete(`/api/v1/namespaces/${namespace}/pods/${name}`, options);
  }

  /** Text of the scheduler's /metrics. */
  async metrics(name = 'scheduler'): Promise<string> {
    return (await fetch(`${this.scheduler(name).metricsUrl}/metrics`)).text();
  }
}

function isAlarming(line: string): boolean {
  return /this should not have happened|Unhandled|carrying out a decision failed|the scheduling cycle failed/i.test(line);
}
