//! Requests' bodies, read before a handler sees them: within a limit, within the budget for all bodies together, and in time.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::App;
use super::problem::Problem;
use crate::counts::Turned;
use crate::data::status;
use crate::limits::Limits;
use crate::listener::body::read;

/// The router, whose handlers get bodies of no more than so many bytes.
pub(super) fn within(bytes_max: usize, shared: &App, router: Router<App>) -> Router<App> {
    router.layer(from_fn_with_state((shared.clone(), bytes_max), whole))
}

async fn whole(State((shared, bytes_max)): State<(App, usize)>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let mut taken = shared.bodies.begin();
    match read(body, bytes_max, shared.limits.body_timeout(), &mut taken).await {
        Ok(body) => next.run(Request::from_parts(head, body.into())).await,
        Err(why) => {
            shared.counts.turned.add(why);
            Problem::new(status(why), detail(why, bytes_max, &shared.limits)).into_response()
        }
    }
}

fn detail(why: Turned, bytes_max: usize, limits: &Limits) -> String {
    match why {
        Turned::TooLong => format!("the body is longer than {bytes_max} bytes"),
        Turned::Slow => format!("the body did not come within {} ms", limits.body_timeout_ms),
        Turned::Bodies => "other requests' bodies take all the memory there is for them".to_owned(),
        _ => "the body broke off".to_owned(),
    }
}
