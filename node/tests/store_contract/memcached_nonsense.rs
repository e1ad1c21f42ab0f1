//! Servers that are no Memcached, or a mad one: an error or a miss in time, and memory is not filled by what they announce.

use std::net::Ipv4Addr;
use std::time::Duration;

use larder_node::clock::SystemClock;
use larder_node::store::Store;
use larder_node::store::memcached::{MemcachedOptions, MemcachedStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::subject::{HOUR, bytes, name};

/// A server that says the same to whatever it hears, then holds the connection or closes it.
async fn says(answer: Vec<u8>, closes: bool) -> MemcachedStore {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("listen");
    let address = listener.local_addr().expect("its address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut heard = [0; 4096];
                while stream.read(&mut heard).await.is_ok_and(|read| read > 0) {
                    if stream.write_all(&answer).await.is_err() || closes {
                        return;
                    }
                }
            });
        }
    });
    MemcachedStore::new(&[address], &MemcachedOptions::default(), SystemClock)
}

#[tokio::test]
async fn nonsense_is_an_error_in_time() {
    let answers: [&[u8]; 14] = [
        b"",
        b"\r\n",
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        b"ERROR\r\n",
        b"CLIENT_ERROR bad command line format\r\n",
        b"-ERR unknown command\r\n",
        b"VALUE",
        b"VALUE other 0 1\r\nx\r\nEND\r\n",
        b"VALUE a 0 99999999999\r\n",
        b"VALUE a 0 18446744073709551615\r\n",
        b"VALUE a 0 -1\r\n",
        b"VALUE a 0 3\r\nabcdefgh\r\nEND\r\n",
        b"VALUE a 0 3\r\nab",
        &[0xff; 5000],
    ];
    for answer in answers {
        for closes in [false, true] {
            let store = says(answer.to_vec(), closes).await;
            let operations = async {
                assert!(store.get(&name("a")).await.is_err(), "{answer:?}");
                assert!(store.put(&name("a"), bytes(1, 10), HOUR).await.is_err(), "{answer:?}");
                assert!(store.remove(&name("a")).await.is_err(), "{answer:?}");
            };
            tokio::time::timeout(Duration::from_secs(3), operations).await.expect("in time");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words() {
    let store = says(b"SERVER_ERROR out of memory storing object\r\n".to_vec(), false).await;
    for _ in 0..3 {
        let error = store.put(&name("a"), bytes(1, 10), HOUR).await.expect_err("refused");
        assert!(error.to_string().contains("memcached refused: 127.0.0.1:"), "{error}");
        assert!(error.to_string().contains("out of memory storing object"), "{error}");
    }
}

/// Bytes come, but never the end: the time limit holds for the whole, not for each byte.
#[tokio::test]
async fn a_trickle_ends_at_the_time_limit() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("listen");
    let address = listener.local_addr().expect("its address").to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(b"VALUE a 0 900000\r\n").await;
                let mut drops = tokio::time::interval(Duration::from_millis(5));
                while stream.write_all(b"x").await.is_ok() {
                    drops.tick().await;
                }
            });
        }
    });
    let store = MemcachedStore::new(&[address], &MemcachedOptions::default(), SystemClock);
    tokio::time::timeout(Duration::from_secs(2), store.get(&name("a"))).await.expect("in time").expect_err("no end");
}
