//! The words the seeded shop is made of: categories with four kinds of product each, series, colours and sentences, in
//! English, German and French (in this order everywhere).

/// The same words in English, German and French.
pub(super) type Words = [&'static str; 3];

/// A category and what is sold in it.
pub(super) struct Category {
    pub slug: &'static str,
    pub name: Words,
    pub kinds: [Words; 4],
}

const fn category(slug: &'static str, name: Words, kinds: [Words; 4]) -> Category {
    Category { slug, name, kinds }
}

pub(super) const CATEGORIES: [Category; 24] = [
    category(
        "lamps",
        ["Lamps", "Lampen", "Lampes"],
        [
            ["Desk lamp", "Schreibtischlampe", "Lampe de bureau"],
            ["Floor lamp", "Stehlampe", "Lampadaire"],
            ["Pendant lamp", "Pendelleuchte", "Suspension"],
            ["Wall lamp", "Wandleuchte", "Applique"],
        ],
    ),
    category(
        "chairs",
        ["Chairs", "Stühle", "Chaises"],
        [
            ["Dining chair", "Esszimmerstuhl", "Chaise de salle à manger"],
            ["Office chair", "Bürostuhl", "Chaise de bureau"],
            ["Rocking chair", "Schaukelstuhl", "Fauteuil à bascule"],
            ["Bar stool", "Barhocker", "Tabouret de bar"],
        ],
    ),
    category(
        "tables",
        ["Tables", "Tische", "Tables"],
        [
            ["Dining table", "Esstisch", "Table de salle à manger"],
            ["Coffee table", "Couchtisch", "Table basse"],
            ["Desk", "Schreibtisch", "Bureau"],
            ["Side table", "Beistelltisch", "Table d'appoint"],
        ],
    ),
    category(
        "shelves",
        ["Shelves", "Regale", "Étagères"],
        [
            ["Bookcase", "Bücherregal", "Bibliothèque"],
            ["Wall shelf", "Wandregal", "Étagère murale"],
            ["Shoe rack", "Schuhregal", "Meuble à chaussures"],
            ["Wine rack", "Weinregal", "Casier à vin"],
        ],
    ),
    category(
        "rugs",
        ["Rugs", "Teppiche", "Tapis"],
        [
            ["Wool rug", "Wollteppich", "Tapis en laine"],
            ["Runner", "Läufer", "Tapis de couloir"],
            ["Door mat", "Fußmatte", "Paillasson"],
            ["Outdoor rug", "Outdoor-Teppich", "Tapis d'extérieur"],
        ],
    ),
    category(
        "curtains",
        ["Curtains", "Vorhänge", "Rideaux"],
        [
            ["Blackout curtain", "Verdunkelungsvorhang", "Rideau occultant"],
            ["Linen curtain", "Leinenvorhang", "Rideau en lin"],
            ["Roller blind", "Rollo", "Store enrouleur"],
            ["Curtain rod", "Gardinenstange", "Tringle à rideau"],
        ],
    ),
    category(
        "bedding",
        ["Bedding", "Bettwaren", "Literie"],
        [
            ["Duvet cover", "Bettbezug", "Housse de couette"],
            ["Pillow", "Kopfkissen", "Oreiller"],
            ["Fitted sheet", "Spannbettlaken", "Drap-housse"],
            ["Wool blanket", "Wolldecke", "Couverture en laine"],
        ],
    ),
    category(
        "cookware",
        ["Cookware", "Kochgeschirr", "Batterie de cuisine"],
        [
            ["Frying pan", "Bratpfanne", "Poêle"],
            ["Saucepan", "Stieltopf", "Casserole"],
            ["Casserole dish", "Schmortopf", "Cocotte"],
            ["Baking tray", "Backblech", "Plaque de four"],
        ],
    ),
    category(
        "knives",
        ["Knives", "Messer", "Couteaux"],
        [
            ["Chef's knife", "Kochmesser", "Couteau de chef"],
            ["Bread knife", "Brotmesser", "Couteau à pain"],
            ["Paring knife", "Schälmesser", "Couteau d'office"],
            ["Knife block", "Messerblock", "Bloc à couteaux"],
        ],
    ),
    category(
        "tableware",
        ["Tableware", "Geschirr", "Vaisselle"],
        [
            ["Dinner plate", "Essteller", "Assiette plate"],
            ["Soup bowl", "Suppenschale", "Bol à soupe"],
            ["Salad bowl", "Salatschüssel", "Saladier"],
            ["Serving dish", "Servierplatte", "Plat de service"],
        ],
    ),
    category(
        "glassware",
        ["Glassware", "Gläser", "Verrerie"],
        [
            ["Wine glass", "Weinglas", "Verre à vin"],
            ["Tumbler", "Trinkglas", "Gobelet"],
            ["Carafe", "Karaffe", "Carafe"],
            ["Storage jar", "Vorratsglas", "Bocal"],
        ],
    ),
    category(
        "coffee",
        ["Coffee", "Kaffee", "Café"],
        [
            ["Espresso machine", "Espressomaschine", "Machine à expresso"],
            ["Coffee grinder", "Kaffeemühle", "Moulin à café"],
            ["French press", "Stempelkanne", "Cafetière à piston"],
            ["Milk frother", "Milchaufschäumer", "Mousseur à lait"],
        ],
    ),
    category(
        "appliances",
        ["Kitchen appliances", "Küchengeräte", "Électroménager"],
        [
            ["Kettle", "Wasserkocher", "Bouilloire"],
            ["Toaster", "Toaster", "Grille-pain"],
            ["Blender", "Standmixer", "Mixeur"],
            ["Kitchen scale", "Küchenwaage", "Balance de cuisine"],
        ],
    ),
    category(
        "gardening",
        ["Gardening", "Gartenarbeit", "Jardinage"],
        [
            ["Watering can", "Gießkanne", "Arrosoir"],
            ["Pruning shears", "Gartenschere", "Sécateur"],
            ["Garden spade", "Spaten", "Bêche"],
            ["Wheelbarrow", "Schubkarre", "Brouette"],
        ],
    ),
    category(
        "planters",
        ["Planters", "Pflanzgefäße", "Pots et bacs"],
        [
            ["Plant pot", "Blumentopf", "Pot de fleurs"],
            ["Balcony box", "Balkonkasten", "Jardinière"],
            ["Raised bed", "Hochbeet", "Carré potager"],
            ["Hanging basket", "Blumenampel", "Panier suspendu"],
        ],
    ),
    category(
        "tools",
        ["Tools", "Werkzeug", "Outils"],
        [
            ["Claw hammer", "Klauenhammer", "Marteau arrache-clou"],
            ["Screwdriver set", "Schraubendrehersatz", "Jeu de tournevis"],
            ["Cordless drill", "Akkubohrer", "Perceuse sans fil"],
            ["Spirit level", "Wasserwaage", "Niveau à bulle"],
        ],
    ),
    category(
        "bicycles",
        ["Bicycles", "Fahrräder", "Vélos"],
        [
            ["City bike", "Stadtrad", "Vélo de ville"],
            ["Bike helmet", "Fahrradhelm", "Casque de vélo"],
            ["Bike light", "Fahrradlicht", "Éclairage de vélo"],
            ["Floor pump", "Standpumpe", "Pompe à pied"],
        ],
    ),
    category(
        "camping",
        ["Camping", "Camping", "Camping"],
        [
            ["Tent", "Zelt", "Tente"],
            ["Sleeping bag", "Schlafsack", "Sac de couchage"],
            ["Camping stove", "Campingkocher", "Réchaud"],
            ["Head torch", "Stirnlampe", "Lampe frontale"],
        ],
    ),
    category(
        "bags",
        ["Bags", "Taschen", "Sacs"],
        [
            ["Backpack", "Rucksack", "Sac à dos"],
            ["Travel bag", "Reisetasche", "Sac de voyage"],
            ["Suitcase", "Koffer", "Valise"],
            ["Shopping bag", "Einkaufstasche", "Sac de courses"],
        ],
    ),
    category(
        "audio",
        ["Audio", "Audio", "Audio"],
        [
            ["Headphones", "Kopfhörer", "Casque audio"],
            ["Bookshelf speaker", "Regallautsprecher", "Enceinte de bibliothèque"],
            ["Radio", "Radio", "Radio"],
            ["Turntable", "Plattenspieler", "Platine vinyle"],
        ],
    ),
    category(
        "computing",
        ["Computing", "Computerzubehör", "Informatique"],
        [
            ["Keyboard", "Tastatur", "Clavier"],
            ["Mouse", "Maus", "Souris"],
            ["Monitor arm", "Monitorarm", "Bras d'écran"],
            ["Laptop stand", "Laptopständer", "Support d'ordinateur"],
        ],
    ),
    category(
        "photo",
        ["Photo", "Foto", "Photo"],
        [
            ["Camera", "Kamera", "Appareil photo"],
            ["Tripod", "Stativ", "Trépied"],
            ["Camera bag", "Kameratasche", "Sac photo"],
            ["Picture frame", "Bilderrahmen", "Cadre photo"],
        ],
    ),
    category(
        "stationery",
        ["Stationery", "Schreibwaren", "Papeterie"],
        [
            ["Notebook", "Notizbuch", "Carnet"],
            ["Fountain pen", "Füller", "Stylo-plume"],
            ["Pencil set", "Bleistiftset", "Lot de crayons"],
            ["Desk organiser", "Schreibtisch-Organizer", "Organiseur de bureau"],
        ],
    ),
    category(
        "toys",
        ["Toys", "Spielzeug", "Jouets"],
        [
            ["Building blocks", "Bauklötze", "Cubes de construction"],
            ["Jigsaw puzzle", "Puzzle", "Puzzle"],
            ["Train set", "Eisenbahnset", "Circuit de train"],
            ["Board game", "Brettspiel", "Jeu de société"],
        ],
    ),
];

pub(super) const SERIES: [&str; 20] = [
    "Alba", "Birka", "Corso", "Dolina", "Elva", "Fjord", "Garda", "Halden", "Isola", "Jura", "Kanto", "Lumen",
    "Merano", "Nordby", "Oslo", "Pinea", "Quarto", "Riva", "Sund", "Tarn",
];

pub(super) const COLOURS: [Words; 12] = [
    ["white", "weiß", "blanc"],
    ["black", "schwarz", "noir"],
    ["grey", "grau", "gris"],
    ["blue", "blau", "bleu"],
    ["green", "grün", "vert"],
    ["red", "rot", "rouge"],
    ["yellow", "gelb", "jaune"],
    ["orange", "orange", "orange"],
    ["sand", "sand", "sable"],
    ["walnut", "Nussbaum", "noyer"],
    ["copper", "Kupfer", "cuivre"],
    ["petrol", "petrol", "pétrole"],
];

/// What a thing is for; a description takes one of each list.
pub(super) const OPENINGS: [Words; 4] = [
    ["Made for every day.", "Für jeden Tag gemacht.", "Conçu pour tous les jours."],
    ["A classic, drawn anew.", "Ein Klassiker, neu gezeichnet.", "Un classique, redessiné."],
    ["Simple, sturdy and light.", "Schlicht, robust und leicht.", "Simple, solide et léger."],
    ["Designed in our own studio.", "In unserem eigenen Studio entworfen.", "Dessiné dans notre propre atelier."],
];

pub(super) const MAKINGS: [Words; 4] = [
    [
        "Each piece is finished by hand and checked before it leaves the workshop.",
        "Jedes Stück wird von Hand vollendet und geprüft, bevor es die Werkstatt verlässt.",
        "Chaque pièce est finie à la main et contrôlée avant de quitter l'atelier.",
    ],
    [
        "The materials come from suppliers that we visit ourselves.",
        "Die Materialien stammen von Lieferanten, die wir selbst besuchen.",
        "Les matériaux viennent de fournisseurs que nous visitons nous-mêmes.",
    ],
    [
        "All parts can be replaced, and spare parts are kept for ten years.",
        "Alle Teile sind austauschbar, Ersatzteile halten wir zehn Jahre vor.",
        "Toutes les pièces se remplacent, et nous les gardons dix ans.",
    ],
    [
        "It is easy to clean and made to age well.",
        "Leicht zu reinigen und gemacht, um schön zu altern.",
        "Facile à nettoyer et fait pour bien vieillir.",
    ],
];

pub(super) const CLOSINGS: [Words; 4] = [
    ["Two years of warranty.", "Zwei Jahre Garantie.", "Garantie de deux ans."],
    ["Five years of warranty.", "Fünf Jahre Garantie.", "Garantie de cinq ans."],
    ["Delivered within three days.", "Lieferung innerhalb von drei Tagen.", "Livraison sous trois jours."],
    ["Packed without plastic.", "Ohne Plastik verpackt.", "Emballé sans plastique."],
];
