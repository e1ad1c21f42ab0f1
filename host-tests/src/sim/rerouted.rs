//! Large responses that nodes serve by themselves: Envoy's own route to them, and what becomes of it on the way.

use bytes::Bytes;
use larder_core::cluster::SERVE;

use super::books::Who;
use super::wires::{Asked, Sent};
use super::world::{Event, World};
use crate::host::{Headers, Response, StreamId, UpstreamFailure};

impl World {
    /// A request goes to the node that Envoy's ring has for what it names.
    pub(super) fn reroute(&mut self, who: Who, stream: StreamId, headers: &Headers) {
        let name = headers.text(SERVE).unwrap_or_default();
        self.note(|| format!("envoy {} worker {} sends {stream:?} to be served {name}", who.envoy, who.worker));
        let Some(node) = self.node_of(&name) else {
            let asked = Asked::Stream { who, stream, name, node: 0 };
            return self.after(1, Event::Refused(asked));
        };
        let text = |name: &str| headers.text(name).unwrap_or_default();
        let mut request = http::Request::builder().method(text(":method").as_str()).uri(text(":path"));
        for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(':')) {
            request = request.header(name, value);
        }
        let Ok(request) = request.body(()) else { return };
        let asked = Asked::Stream { who, stream, name, node };
        let latency = self.link_ms();
        let (path, body) = (text(":path"), Bytes::new());
        self.after(latency, Event::AtNode(Sent { asked, node, path, body, request: Some(request) }));
    }

    pub(super) fn hear_served(&mut self, asked: &Asked, response: Option<http::Response<Bytes>>) {
        let Asked::Stream { who, stream, name, .. } = asked else { return };
        // A node that lies serves what another asked for.
        let response = if self.happens(self.plan.options.lies_per_mille) {
            let others = self.last_served.iter().find(|(other, _)| *other != name).map(|(_, other)| other.clone());
            others.or(response)
        } else {
            if let Some(response) = &response {
                self.last_served.insert(name.clone(), response.clone());
            }
            response
        };
        let breaks = self.happens(self.plan.options.lost_per_mille / 4);
        let Some(envoy) = self.fleet.envoys.get_mut(who.envoy).filter(|envoy| envoy.life == who.life) else { return };
        let host = &mut envoy.host;
        let is_waiting = host.upstream(*stream).is_some_and(|sent| !sent.answered && !sent.reset);
        if host.is_over(*stream) || !is_waiting {
            return;
        }
        let Some(response) = response else {
            return host.fail_upstream(*stream, UpstreamFailure::ConnectionReset);
        };
        let (head, body) = response.into_parts();
        let mut answer = Response::new(head.status.as_u16()).chunked();
        for (name, value) in &head.headers {
            answer = answer.header(name.as_str(), value.as_bytes());
        }
        if breaks && body.len() > 1 {
            host.respond_headers(*stream, answer.framed(), false);
            host.respond_body(*stream, body.slice(..body.len() / 2), false);
            host.respond_truncated(*stream);
            // What has begun cannot be had from anybody else.
            let client = self.clients.values_mut().find(|client| client.who == *who && client.stream == *stream);
            if let Some(client) = client {
                client.upstream_failed = true;
            }
            return;
        }
        host.respond(*stream, answer.body(body.to_vec()));
    }
}
