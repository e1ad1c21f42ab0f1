//! A subject as an HTTP server: the application on one port, how often its handlers were asked on another.

use std::io::Write;
use std::net::Ipv4Addr;

use anyhow::Result;
use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::handler::Handler;
use crate::subjects::{self, Subject};

/// Path and length of each document.
const DOCUMENTS: [(&str, usize); 2] = [("/1k.json", 1 << 10), ("/64k.json", 64 << 10)];

/// Serves until it is ended. Prints both ports as a line of JSON.
pub async fn serve(subject: Subject) -> Result<()> {
    let documents = DOCUMENTS.map(|(path, bytes)| (path, Handler::of(bytes)));
    let app = subjects::app(subject, &documents)?;
    let counts = Router::new()
        .route("/", get(async move || documents.iter().map(|(_, handler)| handler.asked()).sum::<u64>().to_string()));
    let (main, aside) = (bound().await?, bound().await?);
    let ports = serde_json::json!({ "port": main.local_addr()?.port(), "counts": aside.local_addr()?.port() });
    writeln!(std::io::stdout(), "{ports}")?;
    tokio::try_join!(axum::serve(main, app).into_future(), axum::serve(aside, counts).into_future())?;
    Ok(())
}

async fn bound() -> Result<TcpListener> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?)
}
