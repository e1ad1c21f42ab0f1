//! What whole exchanges come to, one after another in one worker, where unit tables of decisions say too little.

mod afar;
mod collapse;
mod edge;
mod follow;
mod head;
mod part;
mod post;
mod shadow;
mod world;
