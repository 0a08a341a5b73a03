// A real Kubernetes control plane on loopback for tests: etcd, kube-apiserver and kube-controller-manager as child processes in a
// temporary folder, on free ports, with RBAC, tokens and certificates as in a cluster. Nothing of it outlives the test process.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { buildControlPlane, DEFAULT_VERSION } from './build.ts';
import type { ProbeAnswer, ProcessUsage, Program } from './program.ts';
import { parseRequestCounts, type RequestCount } from './serverMetrics.ts';
import { apiServerProgram, controllerProgram, etcdProgram, type ServerOptions, type Site, writeIdentities } from './servers.ts';

/**
 * What tests of a scheduler need. Node lifecycle, taint eviction and node IPAM are left out: they would evict from nodes without
 * a kubelet. Each further controller costs watches and writes.
 */
export const DEFAULT_CONTROLLERS: readonly string[] = [
  'namespace-controller',
  'garbage-collector-controller',
  'pod-garbage-collector-controller',
  'serviceaccount-controller',
  'job-controller',
  'deployment-controller',
  'replicaset-controller',
  'statefulset-controller',
  'cronjob-controller',
  'disruption-controller',
  'resourceclaim-controller',
  'ttl-after-finished-controller',
  'clusterrole-aggregation-controller',
];
const PORT_TRIES = 3;

export interface ControlPlaneOptions extends ServerOptions {
  /** Kubernetes release; its minor must be pinned. Ignored with KUBEBUILDER_ASSETS. */
  readonly version?: string;
  /** Kept afterwards when given; else a temporary folder that stop() removes unless KAI_CONTROL_PLANE_KEEP is set. */
  readonly folder?: string;
  /** Controllers to run; [] = no controller manager. */
  readonly controllers?: readonly string[];
  readonly log?: (line: string) => void;
}

export interface KubeconfigOptions {
  /** Other address of the API server: that of a proxy. */
  readonly url?: string;
  /** CA bundle of that address, PEM. */
  readonly ca?: string;
  readonly token?: string;
  /** File that holds the token, read again by clients when it changes. */
  readonly tokenFile?: string;
}

/** Times since the start until each part was ready. */
export interface StartTimes {
  readonly etcdReadyMs: number;
  readonly apiServerReadyMs: number;
  /** Equal to the former without controllers. */
  readonly readyMs: number;
}

export interface ControlPlane {
  readonly version: string;
  /** https address on loopback. */
  readonly url: string;
  readonly etcdUrl: string;
  /** Everything that the servers keep and log. */
  readonly folder: string;
  /** PEM: leaf and issuer; also valid as CA bundle for webhook servers on 127.0.0.1 that use `webhook`. */
  readonly ca: string;
  readonly caFile: string;
  readonly adminToken: string;
  /** File for the administrator. */
  readonly kubeconfig: string;
  /** Key and certificate for 127.0.0.1, for webhook servers and proxies in tests. */
  readonly webhook: { readonly key: string; readonly cert: string };
  /** kubectl, or undefined when KUBEBUILDER_ASSETS has none. */
  readonly kubectl: string | undefined;
  readonly startTimes: StartTimes;
  /** Writes a kubeconfig into the folder and returns its path. */
  writeKubeconfig(name: string, options: KubeconfigOptions): string;
  /** SIGKILL is a crash; SIGTERM drains, cut off after 2 s because open watches would hold it for 60 s. Same data, port and certificate. */
  restartApiServer(signal?: 'SIGTERM' | 'SIGKILL', downMs?: number): Promise<void>;
  /** A crash without a restart. */
  killApiServer(): Promise<void>;
  /** Starts it again after killApiServer and waits until it is ready. */
  startApiServer(): Promise<void>;
  /** Stops a server where it stands: requests hang. Undone by thaw. */
  freeze(program: 'kube-apiserver' | 'etcd'): void;
  thaw(program: 'kube-apiserver' | 'etcd'): void;
  /** Drops all history of etcd: watches that resume from older versions get 410. */
  compact(): Promise<void>;
  /** Requests that the API server counted since it started. */
  metrics(): Promise<RequestCount[]>;
  /** CPU and memory of each running server. */
  usage(): Record<string, ProcessUsage>;
  stop(): Promise<void>;
}

async function freePorts(count: number): Promise<number[]> {
  const listen = (): Promise<ReturnType<typeof createServer>> =>
    new Promise((resolve, reject) => {
      const server = createServer().once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve(server));
    });
  const servers = await Promise.all(Array.from({ length: count }, listen));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/**
 * Starts a control plane and resolves when /readyz is 200 and, with controllers, when they run: about three seconds once the
 * programs are built. Throws with the end of the server's log when one of them does not come up.
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const version = options.version ?? DEFAULT_VERSION;
  const bin = await buildControlPlane(version, options.log);
  for (let attempt = 1; ; attempt++) {
    const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'kai-control-plane-'));
    mkdirSync(folder, { recursive: true });
    const [etcdPort, apiPort, controllerPort] = await freePorts(3);
    const plane = new RunningPlane(
      { bin, folder, options, etcdPort: etcdPort!, apiPort: apiPort!, controllerPort: controllerPort! },
      options,
      version,
    );
    try {
      await plane.start();
      return plane;
    } catch (error) {
      await plane.stop();
      // A port can be taken between asking for a free one and the server's own bind.
      if (attempt === PORT_TRIES || !String(error).includes('address already in use')) throw error;
    }
  }
}

class RunningPlane implements ControlPlane {
  readonly version: string;
  readonly url: string;
  readonly etcdUrl: string;
  readonly folder: string;
  readonly caFile: string;
  readonly adminToken = randomBytes(16).toString('hex');
  readonly kubectl: string | undefined;
  readonly #site: Site;
  readonly #options: ControlPlaneOptions;
  readonly #etcd: Program;
  readonly #apiServer: Program;
  #controllers: Program | undefined;
  #kubeconfig = '';
  #startTimes: StartTimes = { etcdReadyMs: 0, apiServerReadyMs: 0, readyMs: 0 };
  /** The servers' certificates are made at their first start, so probes cannot check them yet. */
  readonly #probeAgent = new Agent({ allowH2: false, connect: { rejectUnauthorized: false }, headersTimeout: 5_000, bodyTimeout: 30_000 });

  constructor(site: Site, options: ControlPlaneOptions, version: string) {
    this.#options = options;
    this.version = version;
    this.#site = site;
    this.folder = site.folder;
    this.url = `https://127.0.0.1:${site.apiPort}`;
    this.etcdUrl = `http://127.0.0.1:${site.etcdPort}`;
    this.caFile = join(site.folder, 'serving/apiserver.crt');
    const kubectl = join(site.bin, 'kubectl');
    this.kubectl = existsSync(kubectl) ? kubectl : undefined;
    this.#etcd = etcdProgram(site);
    this.#apiServer = apiServerProgram(site);
  }

  get ca(): string {
    return readFileSync(this.caFile, 'utf8');
  }

  get kubeconfig(): string {
    return this.#kubeconfig;
  }

  get startTimes(): StartTimes {
    return this.#startTimes;
  }

  get webhook(): { readonly key: string; readonly cert: string } {
    return { key: readFileSync(join(this.folder, 'serving/apiserver.key'), 'utf8'), cert: this.ca };
  }

  async start(): Promise<void> {
    const startedMs = performance.now();
    writeIdentities(this.folder, this.adminToken);
    this.#etcd.start();
    // The API server waits for etcd by itself.
    this.#apiServer.start();
    await this.#etcd.ready(() => this.#get(`${this.etcdUrl}/health`));
    const etcdReadyMs = performance.now() - startedMs;
    await this.#apiServer.ready(() => this.#get(`${this.url}/readyz`));
    const apiServerReadyMs = performance.now() - startedMs;
    this.#kubeconfig = this.writeKubeconfig('admin', { token: this.adminToken });
    await this.#startControllers();
    this.#startTimes = { etcdReadyMs, apiServerReadyMs, readyMs: performance.now() - startedMs };
  }

  async #startControllers(): Promise<void> {
    const controllers = this.#options.controllers ?? DEFAULT_CONTROLLERS;
    if (controllers.length === 0) return;
    if (!existsSync(join(this.#site.bin, 'kube-controller-manager'))) {
      (this.#options.log ?? console.error)(`${this.#site.bin} has no kube-controller-manager: no controllers run`);
      return;
    }
    this.#controllers = controllerProgram(this.#site, this.#kubeconfig, controllers).start();
    await this.#controllers.ready(() => this.#get(`https://127.0.0.1:${this.#site.controllerPort}/healthz`));
  }

  async #get(url: string): Promise<ProbeAnswer> {
    const { statusCode, body } = await request(url, {
      dispatcher: this.#probeAgent,
      headers: { authorization: `Bearer ${this.adminToken}` },
    });
    return { status: statusCode, body: await body.text() };
  }

  writeKubeconfig(name: string, { url = this.url, ca = this.ca, token, tokenFile }: KubeconfigOptions): string {
    const file = join(this.folder, `${name.replaceAll(/[^\w.-]/g, '_')}.kubeconfig`);
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
      users: [{ name, user: { token, tokenFile } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: name } }],
    };
    writeFileSync(file, JSON.stringify(config, null, 1), { mode: 0o600 });
    return file;
  }

  async restartApiServer(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM', downMs = 0): Promise<void> {
    await this.#apiServer.stop(signal);
    await sleep(downMs);
    await this.startApiServer();
  }

  async killApiServer(): Promise<void> {
    await this.#apiServer.stop('SIGKILL');
  }

  async startApiServer(): Promise<void> {
    this.#apiServer.start();
    await this.#apiServer.ready(() => this.#get(`${this.url}/readyz`));
  }

  freeze(program: 'kube-apiserver' | 'etcd'): void {
    this.#program(program).signal('SIGSTOP');
  }

  thaw(program: 'kube-apiserver' | 'etcd'): void {
    this.#program(program).signal('SIGCONT');
  }

  #program(name: 'kube-apiserver' | 'etcd'): Program {
    return name === 'etcd' ? this.#etcd : this.#apiServer;
  }

  async compact(): Promise<void> {
    const post = async (path: string, body: object): Promise<{ readonly header?: { readonly revision?: string } }> => {
      const answer = await request(`${this.etcdUrl}/v3/kv/${path}`, {
        method: 'POST',
        body: JSON.stringify(body),
        dispatcher: this.#probeAgent,
      });
      if (answer.statusCode !== 200) throw new Error(`etcd ${path}: ${answer.statusCode} ${await answer.body.text()}`);
      return (await answer.body.json()) as { readonly header?: { readonly revision?: string } };
    };
    const { header } = await post('range', { key: Buffer.from('/').toString('base64'), limit: '1' });
    await post('compaction', { revision: header?.revision, physical: true });
  }

  async metrics(): Promise<RequestCount[]> {
    const { status, body } = await this.#get(`${this.url}/metrics`);
    if (status !== 200) throw new Error(`/metrics answered ${status}: ${body}`);
    return parseRequestCounts(body);
  }

  usage(): Record<string, ProcessUsage> {
    return Object.fromEntries(this.#programs().map((program) => [program.spec.name, program.usage()]));
  }

  #programs(): Program[] {
    const all = [this.#etcd, this.#apiServer];
    return this.#controllers === undefined ? all : [...all, this.#controllers];
  }

  async stop(): Promise<void> {
    const isKept = this.#options.folder !== undefined;
    for (const program of this.#programs().reverse()) await program.stop(isKept ? 'SIGTERM' : 'SIGKILL');
    await this.#probeAgent.destroy();
    if (!isKept && !process.env.KAI_CONTROL_PLANE_KEEP) rmSync(this.folder, { recursive: true, force: true });
  }
}
