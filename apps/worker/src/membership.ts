import { X509Certificate } from 'node:crypto';
import { type Credentials, EnrolmentError, enrol, type Identity, type JoinUrl } from '@manyhands/proto';
import type { SessionEnd } from './session.js';

/** A certificate that ends this soon is not shown any more: the clocks of two machines differ. */
const MARGIN_MILLISECONDS = 24 * 3600 * 1000;

/**
 * How a worker shows that it belongs to a run: by the token alone where the run is in plain text; otherwise by a
 * certificate, for which the token is given once. The certificate outlives connections, and dies with the process.
 */
export class Membership {
  private identity: Identity | null = null;
  /** The certificate has not been shown yet. */
  private fresh = false;

  constructor(
    private readonly join: JoinUrl,
    private readonly who: { readonly name: string; readonly software: string },
  ) {}

  /** What the next connection shows, or why there is nothing to show. */
  async show(): Promise<{ readonly credentials: Credentials } | SessionEnd> {
    const { ca, token } = this.join;
    if (ca === undefined) return { credentials: { kind: 'token', token } };
    this.fresh = this.identity === null || endsSoon(this.identity);
    if (this.identity !== null && !this.fresh) return { credentials: this.identity };
    try {
      this.identity = await enrol({ ...this.join, ca }, this.who);
      return { credentials: this.identity };
    } catch (error) {
      if (!(error instanceof EnrolmentError)) throw error;
      if (error.final) return { kind: 'refused', reason: error.message };
      return { kind: 'lost', reason: error.message, joined: false };
    }
  }

  /** The coordinator does not take the certificate; returns whether another one may be tried. */
  renew(): boolean {
    const again = this.identity !== null && !this.fresh;
    this.identity = null;
    return again;
  }
}

function endsSoon({ own }: Identity): boolean {
  return Date.parse(new X509Certificate(own.certificate).validTo) - Date.now() < MARGIN_MILLISECONDS;
}
