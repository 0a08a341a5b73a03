// Server, TLS material and request headers from a kubeconfig or service account, through the Kubernetes client's KubeConfig.
import { existsSync, readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import { load } from 'js-yaml';
import { KaiError } from '../base/errors.ts';
import type { Clock } from './clock.ts';

/** Where the credentials are. */
export type CredentialSource =
  /** KUBECONFIG, ~/.kube/config, the service account of the pod: the first that is there. */
  | { readonly kind: 'default' }
  | { readonly kind: 'file'; readonly path: string; readonly context?: string }
  | { readonly kind: 'inCluster' }
  /** A kubeconfig as text (YAML or JSON). */
  | { readonly kind: 'text'; readonly text: string };

/** How to reach the server at this moment. */
export interface Access {
  /** "https://10.96.0.1:443", with a path prefix where the kubeconfig has one; no slash at the end. */
  readonly server: string;
  /** Namespace of the context, '' unknown. */
  readonly namespace: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly transport: TransportOptions;
  /** Equal for equal transports. */
  readonly transportKey: string;
}

export type TransportOptions = ReturnType<KubeConfig['createDispatcherOptions']>;

/** Credentials are looked at again this often; the client itself reads token files once a minute, and exec tokens when they expire. */
const FRESH_MS = 1000;

/** Reads credentials, and reads them again. Concurrent callers share one reading. */
export class Credentials {
  readonly #source: CredentialSource;
  readonly #clock: Clock;
  #config: KubeConfig | undefined;
  #access: Access | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<Access> | undefined;

  constructor(source: CredentialSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Throws KaiError BAD_KUBECONFIG, NO_CLUSTER or CREDENTIALS (exec plugin or token file). */
  async access(): Promise<Access> {
    if (this.#access !== undefined && this.#clock.monotonicMs() - this.#readAtMs < FRESH_MS) return this.#access;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** Reads everything anew, caches of the client included, unless somebody did since `stale` was handed out. */
  async renew(stale: Access): Promise<Access> {
    if (this.#access === stale) {
      this.#config = undefined;
      this.#access = undefined;
    }
    return this.access();
  }

  async #read(): Promise<Access> {
    this.#config ??= await loadConfig(this.#source);
    const config = this.#config;
    const options: RequestOptions = {};
    try {
      await config.applyToHTTPSOptions(options);
    } catch (error) {
      throw new KaiError('CREDENTIALS', `cannot get credentials: ${messageOf(error)}`, { cause: error });
    }
    const cluster = config.getCurrentCluster();
    if (cluster === null) throw new KaiError('NO_CLUSTER', `context ${JSON.stringify(config.getCurrentContext())} names no cluster`);
    const transport = transportOf(config, options);
    const access: Access = {
      server: cluster.server.replace(/\/+$/, ''),
      namespace: config.getContextObject(config.getCurrentContext())?.namespace ?? '',
      headers: headersOf(options),
      transport,
      transportKey: JSON.stringify([cluster.server, transport]),
    };
    this.#access = access;
    this.#readAtMs = this.#clock.monotonicMs();
    return access;
  }
}

function transportOf(
  config: KubeConfig,
  { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }: RequestOptions,
): TransportOptions {
  const options = { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername };
  try {
    return config.createDispatcherOptions(config.getCurrentCluster(), options);
  } catch (error) {
    throw new KaiError('BAD_KUBECONFIG', messageOf(error), { cause: error });
  }
}

function headersOf(options: RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) if (value !== undefined) headers[name.toLowerCase()] = String(value);
  if (typeof options.auth === 'string') headers.authorization = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  return headers;
}

/** The client library costs some 80 MB and 0.4 s at import: only who talks to a cluster pays. */
async function loadConfig(source: CredentialSource): Promise<KubeConfig> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  try {
    switch (source.kind) {
      case 'default':
        config.loadFromDefault();
        for (const path of defaultFiles()) addTokenFiles(config, readFileSync(path, 'utf8'), dirname(path));
        break;
      case 'file':
        config.loadFromFile(source.path);
        addTokenFiles(config, readFileSync(source.path, 'utf8'), dirname(source.path));
        if (source.context !== undefined) config.setCurrentContext(source.context);
        break;
      case 'inCluster':
        config.loadFromCluster();
        break;
      case 'text':
        config.loadFromString(source.text);
        addTokenFiles(config, source.text, '.');
        break;
    }
  } catch (error) {
    const where = source.kind === 'file' ? `${source.path}: ` : '';
    throw new KaiError('BAD_KUBECONFIG', `${where}cannot read the kubeconfig: ${messageOf(error)}`, { cause: error });
  }
  const isNothing = source.kind === 'default' && config.getCurrentCluster()?.server === 'http://localhost:8080';
  if (isNothing) {
    throw new KaiError(
      'NO_CLUSTER',
      'no cluster found: neither KUBECONFIG nor ~/.kube/config nor a service account; name a kubeconfig file',
    );
  }
  return config;
}

/** The files that `loadFromDefault` reads. */
function defaultFiles(): readonly string[] {
  const named = (process.env.KUBECONFIG ?? '').split(delimiter).filter((path) => path !== '');
  return named.length > 0 ? named : [join(homedir(), '.kube', 'config')].filter((path) => existsSync(path));
}

/** The client library passes over `tokenFile` of a user: it becomes the provider that reads a file again when it is a minute old. */
function addTokenFiles(config: KubeConfig, text: string, folder: string): void {
  const users = (
    load(text) as { readonly users?: readonly { readonly name?: string; readonly user?: { readonly tokenFile?: string } }[] } | null
  )?.users;
  for (const { name, user } of users ?? []) {
    const tokenFile = user?.tokenFile;
    if (!tokenFile) continue;
    const authProvider = { name: 'tokenFile', config: { tokenFile: resolve(folder, tokenFile) } };
    config.users = config.users.map((known) => (known.name === name ? { ...known, token: undefined, authProvider } : known));
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
