"""What joins the client to other people's machinery. A module here needs that machinery only if its name says so."""
